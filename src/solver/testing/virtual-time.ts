import assert from 'node:assert/strict';
import { deferred } from '../../base/async/lifetime.ts';

interface Sleeper {
  readonly due: number;
  readonly order: number;
  readonly wake: () => void;
}

/** Time that passes when there is nothing left to do: a sleep costs nothing, and the order of events is the same in every run. */
export class VirtualTime {
  #now = 0;
  #nextOrder = 0;
  readonly #sleepers: Sleeper[] = [];

  sleep(ticks: number, signal?: AbortSignal): Promise<void> {
    const slept = deferred<void>();
    const sleeper = { due: this.#now + ticks, order: this.#nextOrder++, wake: slept.resolve };
    this.#sleepers.push(sleeper);
    const stop = () => {
      const index = this.#sleepers.indexOf(sleeper);
      if (index >= 0) this.#sleepers.splice(index, 1);
      slept.reject(signal!.reason);
    };
    if (signal?.aborted) stop();
    else signal?.addEventListener('abort', stop, { once: true });
    return slept.promise;
  }

  /** Lets time pass until `work` has ended. Throws when nothing is left to wait for before that. */
  async during<T>(work: Promise<T>, waiting: () => unknown = () => 'nobody knows what'): Promise<T> {
    let ended = false;
    const watched = work.finally(() => {
      ended = true;
    });
    watched.catch(() => {});
    for (;;) {
      // A tick comes after every microtask, and unlike an immediate without a turn of the event loop.
      await new Promise<void>(process.nextTick);
      if (ended) return await watched;
      if (this.#sleepers.length === 0)
        assert.fail(`stuck, waiting for ${JSON.stringify(waiting(), null, 2)}`);
      let next = 0;
      for (let index = 1; index < this.#sleepers.length; index++)
        if (isBefore(this.#sleepers[index]!, this.#sleepers[next]!)) next = index;
      const [sleeper] = this.#sleepers.splice(next, 1);
      this.#now = sleeper!.due;
      sleeper!.wake();
    }
  }
}

function isBefore(one: Sleeper, other: Sleeper): boolean {
  return one.due < other.due || (one.due === other.due && one.order < other.order);
}
