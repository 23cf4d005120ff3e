import type { ThreadPool } from '../../base/threads/thread-pool.ts';
import { trimMalloc } from '../../linux/malloc-trim.ts';
import { shrinkHeap } from '../../linux/shrink-heap.ts';

/** Milliseconds after the last build. */
const pause = 500;
/** Milliseconds that threads get to collect their garbage before what it held is given back. */
const collection = 200;

const shrinkHeapTask = new URL('../../linux/shrink-heap.task.ts', import.meta.url);

/**
 * Returns the memory of finished builds: an engine without work allocates nothing, so its garbage would stay until the next
 * build.
 */
export class IdleMemory implements Disposable {
  readonly #pools: readonly Pick<ThreadPool, 'tidy'>[];
  readonly #isIdle: () => boolean;
  #timer: NodeJS.Timeout | undefined;

  constructor(pools: readonly Pick<ThreadPool, 'tidy'>[], isIdle: () => boolean) {
    this.#pools = pools;
    this.#isIdle = isIdle;
  }

  /** Called after each build. */
  schedule(): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#collect(), pause).unref();
  }

  #collect(): void {
    if (!this.#isIdle()) return;
    for (const pool of this.#pools) pool.tidy(shrinkHeapTask);
    shrinkHeap();
    this.#timer = setTimeout(trimMalloc, collection).unref();
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
  }
}
