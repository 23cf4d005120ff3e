import { KilnError } from '../base/errors.ts';
import { ownValue } from '../base/own-value.ts';
import { codeOfStatus } from '../http/code-of-status.ts';
import { parseRetryAfter } from '../http/retry-later.ts';

/** An answer that is not what was asked for. */
export interface UnexpectedAnswer {
  readonly method: string;
  readonly host: string;
  /** `domain/path` of the repository. */
  readonly repository: string;
  readonly path: string;
  readonly status: number;
  readonly body: string;
  readonly authenticated: boolean;
  /** The header of that name. */
  readonly retryAfter: string | undefined;
}

/** Error codes of the distribution specification in words that users know. */
const explanations: Readonly<Record<string, string>> = {
  MANIFEST_UNKNOWN: 'manifest unknown',
  NAME_UNKNOWN: 'repository name not known to registry',
  BLOB_UNKNOWN: 'blob unknown to registry',
  UNAUTHORIZED: 'authentication required',
  DENIED: 'requested access to the resource is denied',
  TOOMANYREQUESTS: 'too many requests',
};

/** The registry's refusal as one sentence with host, repository, status and the registry's own words. */
export function answerError(answer: UnexpectedAnswer): KilnError {
  const { method, host, repository, path, status, authenticated } = answer;
  const later = parseRetryAfter(answer.retryAfter);
  const said = registryWords(answer.body);
  const pulling = method === 'GET' || method === 'HEAD';
  const reason =
    status === 401 || status === 403
      ? `${pulling ? 'pull' : 'push'} access denied, repository does not exist or may require authorization`
      : status === 404 && /\/manifests\//.test(path)
        ? 'not found (manifest unknown)'
        : (explanationOfStatus(status) ?? 'unexpected answer');
  const details = [...(said === undefined ? [] : [said]), ...(later ? [later.message] : [])]
    .map((each) => `: ${each}`)
    .join('');
  return new KilnError(
    codeOfStatus(status),
    `${repository}: ${reason}: ${host} answered ${status} to ${method} ${path}${details}`,
    { cause: later, hint: hintFor(status, host, authenticated) },
  );
}

function explanationOfStatus(status: number): string | undefined {
  if (status === 404) return 'not found';
  if (status === 429) return 'too many requests';
  if (status >= 500) return 'the registry failed';
  return undefined;
}

function hintFor(status: number, host: string, authenticated: boolean): string | undefined {
  const server = host === 'registry-1.docker.io' ? '' : ` ${host}`;
  if (status === 401 || status === 403) {
    return authenticated
      ? 'check the name, and that the account you are logged in with may use this repository'
      : `check the name; if the repository is private, log in with \`docker login${server}\``;
  }
  if (status === 404) return 'check the name and the tag';
  if (status === 429) return `wait, or log in with \`docker login${server}\` for a higher limit`;
  return undefined;
}

/** The `errors` list of the distribution specification, or the start of whatever text came. */
function registryWords(body: string): string | undefined {
  try {
    const { errors, details } = JSON.parse(body) as {
      errors?: readonly { code?: string; message?: string }[];
      details?: string;
    };
    const words = (errors ?? []).map(
      ({ code, message }) => message || ownValue(explanations, code ?? '') || code,
    );
    if (words.length > 0) return words.filter(Boolean).join(', ');
    if (details) return details;
  } catch {
    // Not JSON: proxies answer with HTML or plain text.
  }
  const text = body
    .replaceAll(/<[^<>]*>/g, ' ')
    .replaceAll(/\s+/g, ' ')
    .trim();
  return text === '' ? undefined : text.slice(0, 200);
}
