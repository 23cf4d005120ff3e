import { setTimeout as timeout } from 'node:timers/promises';
import { inspect } from 'node:util';
import { ThreadPool } from '../threads/thread-pool.ts';
import type { FuzzChunk, FuzzFailure } from './run-seeds.ts';

/** How many cases a thread gets at a time. */
const casesInOneChunk = 100;

export interface FuzzOptions {
  readonly firstSeed: number;
  /** How many cases; each has the seed after the one before. */
  readonly count: number;
  /** A task that runs the cases of a `FuzzChunk`. */
  readonly task: URL;
  /** Milliseconds after which a case that has not ended is stuck. It is found after twice as long at most. */
  readonly patience?: number;
}

/** Runs cases in as many threads as there are cores. Returns the first failure found. */
export async function fuzz({
  firstSeed,
  count,
  task,
  patience = 60_000,
}: FuzzOptions): Promise<FuzzFailure | undefined> {
  await using pool = new ThreadPool();
  const end = firstSeed + count;
  let next = firstSeed;
  let failure: FuzzFailure | undefined;
  const lane = async () => {
    while (next < end && !failure) {
      const first = next;
      next = Math.min(end, first + casesInOneChunk);
      const current = new Int32Array(new SharedArrayBuffer(4));
      const chunk: FuzzChunk = { firstSeed: first, count: next - first, current };
      const over = new AbortController();
      const ran = pool
        .run<FuzzChunk, FuzzFailure | undefined>(task, chunk)
        // What nobody caught ended the thread.
        .catch((error) => ({ seed: Atomics.load(current, 0), report: inspect(error) }))
        .finally(() => over.abort());
      const stuck = untilUnchanged(current, patience, over.signal).then(
        (seed) => ({ seed, report: `it has not ended after ${patience / 1000} s` }),
        () => ran,
      );
      failure ??= await stuck;
    }
  };
  await Promise.all(Array.from({ length: pool.size }, lane));
  return failure;
}

/** Returns the seed that was current for `milliseconds`. Throws when `signal` aborts. */
async function untilUnchanged(
  current: Int32Array,
  milliseconds: number,
  signal: AbortSignal,
): Promise<number> {
  for (;;) {
    const seed = Atomics.load(current, 0);
    await timeout(milliseconds, undefined, { signal });
    if (Atomics.load(current, 0) === seed) return seed;
  }
}
