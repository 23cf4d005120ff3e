import { isTransient } from '../http/network-failure.ts';
import { defaultRetry, type RetryPolicy, withRetry } from '../http/retry.ts';

/**
 * Runs a request of a backend whose client library does not try again by itself: `unavailable` errors are tried again with a growing delay,
 * unless the server does not exist.
 */
export function attempt<T>(
  signal: AbortSignal,
  request: () => Promise<T>,
  policy: RetryPolicy = defaultRetry,
): Promise<T> {
  return withRetry(policy, signal, isTransient, request);
}
