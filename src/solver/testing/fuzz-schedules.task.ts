import { inspect } from 'node:util';
import type { Task } from '../../base/thread-pool.ts';
import { fuzzSchedule } from './fuzz-schedule.ts';

export interface FuzzChunk {
  readonly firstSeed: number;
  readonly schedules: number;
  /** Shared: has the seed that runs now, so that one that never ends has a name. */
  readonly current: Int32Array;
}

export interface FuzzFailure {
  readonly seed: number;
  readonly report: string;
}

/** Answers the first failure. */
const fuzzSchedules: Task<FuzzChunk, FuzzFailure | undefined> = async (chunk) => {
  const { firstSeed, schedules, current } = chunk;
  for (let seed = firstSeed; seed < firstSeed + schedules; seed++) {
    Atomics.store(current, 0, seed);
    if (!(await succeeds(seed))) return { seed, report: await reportOf(seed) };
  }
  return undefined;
};

/** Without stack traces, which cost more than all else of the many errors that are part of a schedule. */
async function succeeds(seed: number): Promise<boolean> {
  const limit = Error.stackTraceLimit;
  Error.stackTraceLimit = 0;
  try {
    await fuzzSchedule(seed);
    return true;
  } catch {
    return false;
  } finally {
    Error.stackTraceLimit = limit;
  }
}

/** Fails once more, to tell how: a seed alone decides what happens. */
async function reportOf(seed: number): Promise<string> {
  try {
    await fuzzSchedule(seed);
    return 'it failed once, and succeeded when run again';
  } catch (error) {
    return inspect(error);
  }
}

export default fuzzSchedules;
