import { abortable, abortError, deferred, throwIfAborted } from './lifetime.ts';

export interface FirstAnswerOptions {
  readonly signal?: AbortSignal;
  /** After so many milliseconds, and again, the next is asked as well. */
  readonly patience: number;
  /** Whether the next is to be asked when the time is over; by default it always is. */
  readonly isLate?: () => boolean;
}

export type FirstAnswer<T> =
  | { readonly kind: 'answered'; readonly value: T }
  /** In the order of those who were asked. */
  | { readonly kind: 'failed'; readonly failures: readonly unknown[] };

/**
 * Asks one after the other, for when nobody asked is trusted to answer: one that fails gives way to the next, and who takes long
 * is not waited for alone. The first answer counts, and the signal that the others were given aborts.
 */
export async function firstAnswer<Asked, T>(
  all: readonly Asked[],
  ask: (asked: Asked, signal: AbortSignal) => Promise<T>,
  { signal, patience, isLate = () => true }: FirstAnswerOptions,
): Promise<FirstAnswer<T>> {
  throwIfAborted(signal);
  const end = new AbortController();
  const { promise, resolve } = deferred<FirstAnswer<T>>();
  const failures = new Map<number, unknown>();
  let next = 0;
  const askNext = (): void => {
    if (failures.size === all.length) {
      resolve({ kind: 'failed', failures: all.map((_, index) => failures.get(index)) });
      return;
    }
    if (next === all.length) return;
    const index = next++;
    ask(all[index]!, end.signal).then(
      (value) => resolve({ kind: 'answered', value }),
      (error) => {
        failures.set(index, error);
        if (!end.signal.aborted) askNext();
      },
    );
  };
  const timer = setInterval(() => {
    if (isLate()) askNext();
  }, patience);
  try {
    askNext();
    return await abortable(promise, signal);
  } finally {
    clearInterval(timer);
    end.abort(signal?.aborted ? abortError(signal) : undefined);
  }
}
