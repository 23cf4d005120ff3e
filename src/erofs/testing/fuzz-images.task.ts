import { type FuzzChunk, type FuzzFailure, runSeeds } from '../../base/testing/run-seeds.ts';
import type { Task } from '../../base/threads/task.ts';
import { fuzzImage } from './fuzz-images.ts';

/** Returns the first failure. */
const fuzzImagesTask: Task<FuzzChunk, FuzzFailure | undefined> = (chunk) => runSeeds(chunk, fuzzImage);

export default fuzzImagesTask;
