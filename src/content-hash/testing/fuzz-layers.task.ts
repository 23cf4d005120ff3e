import { type FuzzChunk, type FuzzFailure, runSeeds } from '../../base/testing/run-seeds.ts';
import type { Task } from '../../base/threads/task.ts';
import { fuzzLayers } from './fuzz-layers.ts';

/** Returns the first failure. */
const fuzzLayersTask: Task<FuzzChunk, FuzzFailure | undefined> = (chunk) => runSeeds(chunk, fuzzLayers);

export default fuzzLayersTask;
