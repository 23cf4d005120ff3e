import { type ErrorCode, KilnError } from '../../base/errors.ts';

interface Reason {
  readonly pattern: RegExp;
  readonly code: ErrorCode;
  readonly hint: string | undefined;
}

const token = 'give the build a token: --secret id=GIT_AUTH_TOKEN,env=GIT_AUTH_TOKEN';

/** Failures are told apart by git's messages, since the exit code is the same for all. */
const reasons: readonly Reason[] = [
  {
    pattern: /could not read (Username|Password)|Authentication failed|returned error: 401/,
    code: 'unauthenticated',
    hint: token,
  },
  { pattern: /returned error: 403/, code: 'permission_denied', hint: token },
  {
    pattern: /Permission denied \(publickey/,
    code: 'unauthenticated',
    hint: 'forward an ssh agent that has a key for it: --ssh default',
  },
  {
    pattern: /Host key verification failed/,
    code: 'permission_denied',
    hint: "the server's key is not among the known hosts that the build was given",
  },
  {
    pattern: /repository '[^'\n]*' not found|[Rr]epository not found|does not appear to be a git repository/,
    code: 'not_found',
    hint: `check the address; if the repository is private, ${token}`,
  },
  {
    pattern:
      /Could not resolve host|[Cc]onnection (refused|reset|timed out)|Failed to connect|Couldn't connect|Network is unreachable|returned error: 5\d\d|early EOF|hung up unexpectedly/,
    code: 'unavailable',
    hint: undefined,
  },
  {
    pattern: /No space left on device/,
    code: 'resource_exhausted',
    hint: 'free disk space, or run `kiln prune`',
  },
  {
    pattern: /transport '[^'\n]*' not allowed/,
    code: 'permission_denied',
    hint: 'repositories can be reached by http, https, ssh and git',
  },
];

/** The failure of `git COMMAND`, which wrote `stderr`. */
export function gitFailure(command: string, stderr: string): KilnError {
  const lines = stderr
    .split(/[\r\n]+/)
    .map((line) => line.trim())
    .filter((line) => line !== '');
  const told = lines.filter((line) => /^(fatal|error|remote|ssh|warning): |denied|failed/i.test(line));
  const said = (told.length > 0 ? told : lines.slice(-1)).slice(-4).join('; ') || 'it did not say why';
  const reason = reasons.find(({ pattern }) => pattern.test(stderr));
  return new KilnError(reason?.code ?? 'unknown', `git ${command}: ${said}`, { hint: reason?.hint });
}

/** Whether a server gives only what its refs point to. */
export function refusesCommits(stderr: string): boolean {
  return /not our ref|unadvertised object|couldn't find remote ref/.test(stderr);
}

/** Whether a server has no shallow histories. */
export function refusesDepth(stderr: string): boolean {
  return /shallow|--depth/.test(stderr);
}
