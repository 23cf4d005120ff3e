import type { ErrorCode } from '../base/errors.ts';

/** In the order of their gRPC numbers, from 1. */
const codes: readonly ErrorCode[] = [
  'canceled',
  'unknown',
  'invalid_argument',
  'deadline_exceeded',
  'not_found',
  'already_exists',
  'permission_denied',
  'resource_exhausted',
  'failed_precondition',
  'aborted',
  'out_of_range',
  'unimplemented',
  'internal',
  'unavailable',
  'data_loss',
  'unauthenticated',
];

/** The gRPC status number of an error code; 0 (OK) is not among them. */
export function statusNumber(code: ErrorCode): number {
  return codes.indexOf(code) + 1;
}

/** The error code of a gRPC status number; numbers that gRPC does not define are `unknown`. */
export function errorCodeOf(number: number): ErrorCode {
  return codes[number - 1] ?? 'unknown';
}

export function errorCodeNamed(name: string): ErrorCode | undefined {
  return codes.find((code) => code === name);
}
