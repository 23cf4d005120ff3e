import { setImmediate } from 'node:timers';
import { deferred } from '../../base/async/lifetime.ts';
import { TimeSlice } from '../../base/async/time-slice.ts';

/** Something that can take a step. `queued` belongs to the queue. */
export interface Runnable {
  queued: boolean;
  /** Takes one short step; must not throw. */
  advance(): void;
}

/**
 * Runs steps one after the other, each item at most once however often it was enqueued before its turn. Steps
 * enqueue further steps instead of calling them, so the depth of a graph is never the depth of the stack, and after
 * a few milliseconds the queue lets the event loop turn.
 */
export class RunQueue {
  readonly #slice: TimeSlice;
  #items: Runnable[] = [];
  #scheduled = false;
  #running = false;
  #idleWaiters: (() => void)[] = [];

  constructor(now: () => number) {
    this.#slice = new TimeSlice(now);
  }

  enqueue(item: Runnable): void {
    if (item.queued) return;
    item.queued = true;
    this.#items.push(item);
    if (!this.#running) this.#schedule();
  }

  /** Visits every item, a few in each step. Rejects with what a visit throws. */
  walk<T>(items: Iterable<T>, visit: (item: T) => void): Promise<void> {
    const walk = new Walk(this, items[Symbol.iterator](), visit);
    this.enqueue(walk);
    return walk.ended.promise;
  }

  /** Resolves when nothing is left to do until something outside answers. */
  idle(): Promise<void> {
    if (this.#items.length === 0 && !this.#running) return Promise.resolve();
    return new Promise((resolve) => this.#idleWaiters.push(resolve));
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    if (this.#slice.over) setImmediate(this.#runInNewSlice);
    else queueMicrotask(this.#run);
  }

  readonly #runInNewSlice = (): void => {
    this.#slice.begin();
    this.#run();
  };

  readonly #run = (): void => {
    this.#scheduled = false;
    this.#running = true;
    while (this.#items.length > 0) {
      const batch = this.#items;
      this.#items = [];
      for (const [index, item] of batch.entries()) {
        item.queued = false;
        item.advance();
        if (!this.#slice.over) continue;
        this.#items = batch.slice(index + 1).concat(this.#items);
        break;
      }
      if (this.#items.length > 0 && this.#slice.over) {
        this.#running = false;
        this.#schedule();
        return;
      }
    }
    this.#running = false;
    for (const resolve of this.#idleWaiters.splice(0)) resolve();
  };
}

const visitsInOneStep = 16;

class Walk<T> implements Runnable {
  queued = false;
  readonly ended = deferred<void>();
  readonly #queue: RunQueue;
  readonly #items: Iterator<T>;
  readonly #visit: (item: T) => void;

  constructor(queue: RunQueue, items: Iterator<T>, visit: (item: T) => void) {
    this.#queue = queue;
    this.#items = items;
    this.#visit = visit;
  }

  advance(): void {
    try {
      for (let visits = 0; visits < visitsInOneStep; visits++) {
        const next = this.#items.next();
        if (next.done) {
          this.ended.resolve();
          return;
        }
        this.#visit(next.value);
      }
      this.#queue.enqueue(this);
    } catch (error) {
      this.ended.reject(error);
    }
  }
}
