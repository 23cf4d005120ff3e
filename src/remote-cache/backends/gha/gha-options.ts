import { createHash } from 'node:crypto';
import { KilnError } from '../../../base/errors.ts';
import type { Attributes } from '../../../base/text/attributes.ts';
import { parseGoDuration } from '../../../base/text/go-duration.ts';
import type { CachePurpose } from '../../cache-backend.ts';
import { serviceUrl } from '../service-options.ts';
import { type ActionsScope, actionsScopes } from './gha-token.ts';

/** What the options of a `gha` cache say; those that are missing are as BuildKit has them. */
export interface GhaOptions {
  readonly url: URL;
  readonly version: 1 | 2;
  readonly token: string;
  readonly scopes: readonly ActionsScope[];
  /** Keys of documents without their numbers. */
  readonly names: readonly string[];
  /** Of documents, in their keys. */
  readonly scope: string;
  /** Milliseconds for a request with all its attempts. */
  readonly timeout: number;
  /** The repository and a token that may list its caches: one list instead of a question for each blob. */
  readonly listing: { readonly repository: string; readonly token: string } | undefined;
}

const tenMinutes = 10 * 60_000;
/** Of the format of keys. */
const keyVersion = '1';
/** Characters, by which the service limits keys, less what numbers take. */
const longestScope = 400;

/** The key of a blob. */
export function ghaBlobKey(digest: string): string {
  return `${ghaBlobPrefix}${digest}`;
}

/** What the keys of all blobs begin with. */
export const ghaBlobPrefix = `buildkit-blob-${keyVersion}-`;

/** Throws `invalid_argument`, and `unauthenticated` when the token has expired. */
export function ghaOptions(attributes: Attributes, purpose: CachePurpose): GhaOptions {
  const { token, scope = 'buildkit', repository, ghtoken } = attributes;
  if (!token) throw new KilnError('invalid_argument', 'token not set for github actions cache');
  if (scope.includes(',') || scope.length > longestScope) {
    throw new KilnError(
      'invalid_argument',
      'scope of github actions cache has a comma in it, or is too long',
    );
  }
  if (repository && !/^[\w.-]+\/[\w.-]+$/.test(repository)) {
    throw new KilnError('invalid_argument', 'repository of github actions cache is no owner/name');
  }
  const scopes = actionsScopes(token);
  const written = scopes.findLast(({ writable }) => writable)?.name ?? '';
  const searched = purpose === 'export' ? [written] : scopes.map(({ name }) => name);
  return {
    ...serviceOf(attributes),
    token,
    scopes,
    scope,
    names: [...new Set(searched)].map((name) => `index-${scope}-${keyVersion}-${shortHash(name)}`),
    timeout: timeoutOf(attributes),
    listing: repository && ghtoken ? { repository, token: ghtoken } : undefined,
  };
}

function serviceOf({ url, url_v2: second, version }: Attributes): {
  readonly url: URL;
  readonly version: 1 | 2;
} {
  const wanted = version ?? '0';
  if (!/^\+?\d{1,9}$/.test(wanted)) {
    throw new KilnError(
      'invalid_argument',
      `version of github actions cache is no number: ${JSON.stringify(wanted)}`,
    );
  }
  const number = Number(wanted);
  const address = (number === 1 ? undefined : second) || url;
  if (!address) throw new KilnError('invalid_argument', 'url not set for github actions cache');
  const isSecond =
    number > 1 ||
    (number === 0 && (Boolean(second) || /results-receiver\.actions\.githubusercontent\.com/.test(address)));
  return { url: serviceUrl(address, 'url'), version: isSecond ? 2 : 1 };
}

function timeoutOf({ timeout }: Attributes): number {
  if (timeout === undefined) return tenMinutes;
  const nanoseconds = parseGoDuration(timeout);
  if (nanoseconds !== undefined && nanoseconds > 0) return nanoseconds / 1e6;
  throw new KilnError('invalid_argument', 'failed to parse timeout for github actions cache', {
    hint: 'write it like 10m',
  });
}

function shortHash(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 8);
}
