import { inspect } from 'node:util';

export interface FuzzChunk {
  readonly firstSeed: number;
  readonly count: number;
  /** Shared: has the seed that runs now, so that one that never ends has a name. */
  readonly current: Int32Array;
}

export interface FuzzFailure {
  readonly seed: number;
  readonly report: string;
}

/** Runs the cases of a chunk, which throw when they fail. Returns the first failure. */
export async function runSeeds(
  { firstSeed, count, current }: FuzzChunk,
  run: (seed: number) => Promise<void>,
): Promise<FuzzFailure | undefined> {
  for (let seed = firstSeed; seed < firstSeed + count; seed++) {
    Atomics.store(current, 0, seed);
    if (!(await succeeds(run, seed))) return { seed, report: await reportOf(run, seed) };
  }
  return undefined;
}

/** Without stack traces, which cost more than all else of the many errors that are part of a case. */
async function succeeds(run: (seed: number) => Promise<void>, seed: number): Promise<boolean> {
  const limit = Error.stackTraceLimit;
  Error.stackTraceLimit = 0;
  try {
    await run(seed);
    return true;
  } catch {
    return false;
  } finally {
    Error.stackTraceLimit = limit;
  }
}

/** Fails once more, to tell how: a seed alone decides what happens. */
async function reportOf(run: (seed: number) => Promise<void>, seed: number): Promise<string> {
  try {
    await run(seed);
    return 'it failed once, and succeeded when run again';
  } catch (error) {
    return inspect(error);
  }
}
