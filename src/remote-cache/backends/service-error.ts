import { abortError } from '../../base/async/lifetime.ts';
import { type ErrorCode, KilnError } from '../../base/errors.ts';
import { codeOfStatus } from '../../http/code-of-status.ts';
import { isUntrusted, networkCode, networkReason } from '../../http/network-failure.ts';

/** What is known of a failed request to a service. */
export interface ServiceFailure {
  /** What was asked for, without a secret: `s3://bucket/key`. */
  readonly subject: string;
  /** The server, as `host` or `host:port`. */
  readonly host: string;
  /** Of the answer; undefined when there was none. */
  readonly status: number | undefined;
  /** What the service calls it. */
  readonly name: string | undefined;
  readonly message: string;
}

/**
 * An error of a vendor's library, or of a connection, as a KilnError. The error itself is not kept: it may hold the request with its
 * credentials.
 */
export function serviceError(error: unknown, failure: ServiceFailure, signal: AbortSignal): KilnError {
  if (error instanceof KilnError) return error;
  if (signal.aborted) return abortError(signal);
  const { subject, host, status, name } = failure;
  if (status === undefined) return connectionError(error, subject, host);
  const said = [name, shortened(failure.message)]
    .filter((text) => text && text !== 'UnknownError')
    .join(': ');
  return new KilnError(codeOf(status), `${subject}: ${host} answered ${status}${said ? `: ${said}` : ''}`, {
    hint:
      status === 401 || status === 403
        ? 'check the credentials of the cache, and what they are allowed to do'
        : undefined,
  });
}

function connectionError(error: unknown, subject: string, host: string): KilnError {
  const code: ErrorCode = isUntrusted(error) ? 'failed_precondition' : 'unavailable';
  const cause = Object.assign(new Error(networkReason(error)), { code: networkCode(error) });
  return new KilnError(code, `${subject}: cannot reach ${host}: ${shortened(cause.message)}`, { cause });
}

function codeOf(status: number): ErrorCode {
  return status === 400 ? 'invalid_argument' : codeOfStatus(status);
}

/** The beginning of a text that a server sent, in one line. */
function shortened(text: string): string {
  return text
    .slice(0, 300)
    .replaceAll(/[\u0000-\u001f\u007f]+/g, ' ')
    .trim();
}
