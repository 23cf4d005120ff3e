import { setTimeout as timeout } from 'node:timers/promises';
import { ThreadPool } from '../../base/thread-pool.ts';
import type { FuzzChunk, FuzzFailure } from './fuzz-schedules.task.ts';

/** So short that one which takes long is stuck. */
const schedulesInOneChunk = 100;

export interface FuzzOptions {
  readonly firstSeed: number;
  readonly schedules: number;
  /** The task that runs the schedules, of another solver than this one. */
  readonly task?: URL;
  /** Milliseconds after which a schedule that has not ended is stuck. */
  readonly patience?: number;
}

/** Runs schedules in as many threads as there are cores. Answers the first failure found. */
export async function fuzz({
  firstSeed,
  schedules,
  task = new URL('./fuzz-schedules.task.ts', import.meta.url),
  patience = 60_000,
}: FuzzOptions): Promise<FuzzFailure | undefined> {
  await using pool = new ThreadPool();
  const end = firstSeed + schedules;
  let next = firstSeed;
  let failure: FuzzFailure | undefined;
  const lane = async () => {
    while (next < end && !failure) {
      const first = next;
      next = Math.min(end, first + schedulesInOneChunk);
      const current = new Int32Array(new SharedArrayBuffer(4));
      const chunk: FuzzChunk = { firstSeed: first, schedules: next - first, current };
      const over = new AbortController();
      const ran = pool.run<FuzzChunk, FuzzFailure | undefined>(task, chunk).finally(() => over.abort());
      const stuck = timeout(patience, undefined, { signal: over.signal }).then(
        () => ({ seed: Atomics.load(current, 0), report: `it has not ended after ${patience / 1000} s` }),
        () => ran,
      );
      failure ??= await stuck;
    }
  };
  await Promise.all(Array.from({ length: pool.size }, lane));
  return failure;
}
