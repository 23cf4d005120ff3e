import { type FuzzChunk, type FuzzFailure, runSeeds } from '../../base/testing/run-seeds.ts';
import type { Task } from '../../base/threads/task.ts';
import { fuzzSchedule } from './fuzz-schedule.ts';

/** Returns the first failure. */
const fuzzSchedules: Task<FuzzChunk, FuzzFailure | undefined> = (chunk) => runSeeds(chunk, fuzzSchedule);

export default fuzzSchedules;
