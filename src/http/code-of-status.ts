import type { ErrorCode } from '../base/errors.ts';

/** The error code for an HTTP status that does not mean success. */
export function codeOfStatus(status: number): ErrorCode {
  if (status === 401) return 'unauthenticated';
  if (status === 403) return 'permission_denied';
  if (status === 404) return 'not_found';
  if (status === 416) return 'out_of_range';
  if (status === 408 || status === 429 || status >= 500) return 'unavailable';
  return 'failed_precondition';
}
