import { setTimeout as delay } from 'node:timers/promises';
import { abortError } from '../base/async/lifetime.ts';
import { asKilnError } from '../base/errors.ts';
import { RetryLater } from './retry-later.ts';

/** How often something is tried that may fail for a moment only. */
export interface RetryPolicy {
  /** How many times in all. */
  readonly attempts: number;
  /** Milliseconds before the second attempt; doubles each time. */
  readonly firstDelay: number;
}

export const defaultRetry: RetryPolicy = { attempts: 5, firstDelay: 500 };

/** The longest time, in milliseconds, for which a server that says when to come back is waited for. Nothing is tried again before that time. */
const longestWait = 60_000;

/**
 * Waits before attempt `attempt + 1` (the first is 1), a random half longer so that clients do not come back together, and no shorter
 * than the server asked for that failed with `error`. Throws `error` when that is too long.
 */
export async function backOff(
  policy: RetryPolicy,
  attempt: number,
  error: unknown,
  signal: AbortSignal,
): Promise<void> {
  const cause = (error as { cause?: unknown } | undefined)?.cause;
  const asked = cause instanceof RetryLater ? cause.milliseconds : 0;
  if (asked > longestWait) throw error;
  const base = Math.max(policy.firstDelay * 2 ** (attempt - 1), asked);
  try {
    await delay(base * (1 + Math.random() / 2), undefined, { signal });
  } catch {
    throw abortError(signal);
  }
}

/** Runs `work` until it succeeds, fails with something that `retriable` says is final, or has used its attempts. */
export async function withRetry<T>(
  policy: RetryPolicy,
  signal: AbortSignal,
  retriable: (error: unknown) => boolean,
  work: (attempt: number) => Promise<T>,
): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    let failure: unknown;
    try {
      return await work(attempt);
    } catch (error) {
      if (signal.aborted) throw abortError(signal);
      if (attempt >= policy.attempts || !retriable(error)) throw asKilnError(error);
      failure = error;
    }
    await backOff(policy, attempt, failure, signal);
  }
}

/** How many bytes of `size` an attempt must bring to be worth another one after it: a server cannot have a transfer go on for ever by bits. */
export function worthwhileProgress(size: number): number {
  return Math.max(Math.min(size / 100, 1024 * 1024), 1);
}
