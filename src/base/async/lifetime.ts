import { KilnError } from '../errors.ts';

/** A promise that is settled from outside. */
export interface Deferred<T> {
  readonly promise: Promise<T>;
  resolve(value: T | PromiseLike<T>): void;
  reject(reason: unknown): void;
}

export function deferred<T>(): Deferred<T> {
  return Promise.withResolvers<T>();
}

/** The abort reason as a `canceled` error (a KilnError reason is kept as it is). */
export function abortError(signal: AbortSignal): KilnError {
  return signal.reason instanceof KilnError
    ? signal.reason
    : new KilnError('canceled', 'canceled', { cause: signal.reason });
}

export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw abortError(signal);
}

/** Settles as `promise` does, or rejects with `canceled` as soon as `signal` aborts. The promise itself goes on. */
export function abortable<T>(promise: PromiseLike<T>, signal: AbortSignal | undefined): Promise<T> {
  if (!signal) return Promise.resolve(promise);
  return new Promise<T>((resolve, reject) => {
    const stop = () => reject(abortError(signal));
    if (signal.aborted) {
      stop();
      Promise.resolve(promise).catch(() => {});
      return;
    }
    signal.addEventListener('abort', stop, { once: true });
    promise.then(
      (value) => {
        signal.removeEventListener('abort', stop);
        resolve(value);
      },
      (error) => {
        signal.removeEventListener('abort', stop);
        reject(error);
      },
    );
  });
}

/** Runs `work` over `items`, at most `limit` at a time, results in order. The first failure aborts the rest and is thrown. */
export async function mapLimit<T, R>(
  items: readonly T[],
  limit: number,
  work: (item: T, index: number, signal: AbortSignal) => Promise<R>,
  signal?: AbortSignal,
): Promise<R[]> {
  const own = new AbortController();
  const all = signal ? AbortSignal.any([signal, own.signal]) : own.signal;
  const results = new Array<R>(items.length);
  let next = 0;
  const runner = async () => {
    while (next < items.length) {
      throwIfAborted(all);
      const index = next++;
      results[index] = await work(items[index]!, index, all);
    }
  };
  const runners = Array.from({ length: Math.min(limit, items.length) }, runner);
  try {
    await Promise.all(runners);
  } catch (error) {
    own.abort(error);
    await Promise.allSettled(runners);
    throw error;
  }
  return results;
}

/** At most `size` holders at a time, first come first served. */
export class Semaphore {
  #free: number;
  readonly #waiting: (() => void)[] = [];

  constructor(size: number) {
    this.#free = size;
  }

  /** Waits for a place; dispose the permit to give it back (once; later calls do nothing). */
  async acquire(signal?: AbortSignal): Promise<Disposable> {
    throwIfAborted(signal);
    if (this.#free > 0) this.#free--;
    else {
      const turn = deferred<void>();
      const wake = () => turn.resolve();
      this.#waiting.push(wake);
      try {
        await abortable(turn.promise, signal);
      } catch (error) {
        const index = this.#waiting.indexOf(wake);
        if (index >= 0) this.#waiting.splice(index, 1);
        else this.#release();
        throw error;
      }
    }
    return this.#permit();
  }

  /** A place that is free at once; undefined when there is none. */
  tryAcquire(): Disposable | undefined {
    if (this.#free === 0) return undefined;
    this.#free--;
    return this.#permit();
  }

  #permit(): Disposable {
    let held = true;
    return {
      [Symbol.dispose]: () => {
        if (held) this.#release();
        held = false;
      },
    };
  }

  #release(): void {
    const next = this.#waiting.shift();
    if (next) next();
    else this.#free++;
  }
}

/** One lock per key, first come first served; a key nobody holds costs nothing. */
export class KeyedLock {
  readonly #locks = new Map<string, { semaphore: Semaphore; users: number }>();

  async acquire(key: string, signal?: AbortSignal): Promise<Disposable> {
    const lock = this.#locks.get(key) ?? { semaphore: new Semaphore(1), users: 0 };
    this.#locks.set(key, lock);
    lock.users++;
    const leave = () => {
      if (--lock.users === 0) this.#locks.delete(key);
    };
    try {
      const permit = await lock.semaphore.acquire(signal);
      let held = true;
      return {
        [Symbol.dispose]: () => {
          if (!held) return;
          held = false;
          permit[Symbol.dispose]();
          leave();
        },
      };
    } catch (error) {
      leave();
      throw error;
    }
  }

  isHeld(key: string): boolean {
    return this.#locks.has(key);
  }
}
