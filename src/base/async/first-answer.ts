import { abortable, abortError, deferred, throwIfAborted } from './lifetime.ts';

export interface FirstAnswerOptions {
  readonly signal?: AbortSignal;
  /** Every so many milliseconds the next one is asked as well. */
  readonly patience: number;
  /** Whether the next is to be asked when the time is over; by default it always is. */
  readonly isLate?: () => boolean;
}

export type FirstAnswer<T> =
  | { readonly kind: 'answered'; readonly value: T }
  /** In the order in which they were asked. */
  | { readonly kind: 'failed'; readonly failures: readonly unknown[] };

/**
 * Asks one after the other where none can be relied upon: when one fails, the next is asked, and when one takes long, the next is
 * asked as well. The first answer counts; the signal that the others were given aborts then.
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
