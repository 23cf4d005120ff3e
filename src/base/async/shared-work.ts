import { abortable, throwIfAborted } from './lifetime.ts';

interface Running<T> {
  readonly promise: Promise<T>;
  readonly stop: AbortController;
  users: number;
}

/**
 * Work that several callers want at the same time is done once, and all get its result. It is aborted when the last
 * caller has gone. Nothing is remembered after it ends.
 */
export class SharedWork<T> {
  readonly #running = new Map<string, Running<T>>();

  async run(
    key: string,
    signal: AbortSignal | undefined,
    work: (signal: AbortSignal) => Promise<T>,
  ): Promise<T> {
    throwIfAborted(signal);
    const running = this.#running.get(key) ?? this.#start(key, work);
    running.users++;
    try {
      return await abortable(running.promise, signal);
    } finally {
      if (--running.users === 0) {
        if (this.#running.get(key) === running) this.#running.delete(key);
        running.stop.abort();
      }
    }
  }

  #start(key: string, work: (signal: AbortSignal) => Promise<T>): Running<T> {
    const stop = new AbortController();
    const running: Running<T> = { promise: work(stop.signal), stop, users: 0 };
    this.#running.set(key, running);
    const done = () => {
      if (this.#running.get(key) === running) this.#running.delete(key);
    };
    running.promise.then(done, done);
    return running;
  }
}
