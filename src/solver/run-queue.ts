import { setImmediate } from 'node:timers';

/** Something that can take a step. `queued` belongs to the queue. */
export interface Runnable {
  queued: boolean;
  /** Takes one step; must not throw. */
  advance(): void;
}

const sliceMilliseconds = 8;
const stepsBetweenLooksAtTheClock = 32;

/**
 * Runs steps one after the other, each item at most once however often it was enqueued before its turn. Steps
 * enqueue further steps instead of calling them, so the depth of a graph is never the depth of the stack, and after
 * a few milliseconds the queue lets the event loop turn.
 */
export class RunQueue {
  readonly #now: () => number;
  #items: Runnable[] = [];
  #scheduled = false;
  #running = false;
  #sliceStart: number;
  #idleWaiters: (() => void)[] = [];

  constructor(now: () => number) {
    this.#now = now;
    this.#sliceStart = now();
  }

  enqueue(item: Runnable): void {
    if (item.queued) return;
    item.queued = true;
    this.#items.push(item);
    if (!this.#running) this.#schedule();
  }

  /** Resolves when nothing is left to do until something outside answers. */
  idle(): Promise<void> {
    if (this.#items.length === 0) return Promise.resolve();
    return new Promise((resolve) => this.#idleWaiters.push(resolve));
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    if (this.#now() - this.#sliceStart < sliceMilliseconds) queueMicrotask(this.#run);
    else setImmediate(this.#runInNewSlice);
  }

  readonly #runInNewSlice = (): void => {
    this.#sliceStart = this.#now();
    this.#run();
  };

  readonly #run = (): void => {
    this.#scheduled = false;
    this.#running = true;
    let steps = 0;
    while (this.#items.length > 0) {
      const batch = this.#items;
      this.#items = [];
      for (let index = 0; index < batch.length; index++) {
        const item = batch[index]!;
        item.queued = false;
        item.advance();
        if (
          ++steps % stepsBetweenLooksAtTheClock === 0 &&
          this.#now() - this.#sliceStart >= sliceMilliseconds
        ) {
          this.#items = batch.slice(index + 1).concat(this.#items);
          if (this.#items.length > 0) {
            this.#running = false;
            this.#schedule();
            return;
          }
          break;
        }
      }
    }
    this.#running = false;
    for (const resolve of this.#idleWaiters.splice(0)) resolve();
  };
}
