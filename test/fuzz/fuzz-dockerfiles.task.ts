import { type FuzzChunk, type FuzzFailure, runSeeds } from '../../src/base/testing/run-seeds.ts';
import type { Task } from '../../src/base/threads/task.ts';
import { fuzzDockerfile } from './fuzz-dockerfile.ts';

/** Returns the first failure. */
const fuzzDockerfiles: Task<FuzzChunk, FuzzFailure | undefined> = (chunk) => runSeeds(chunk, fuzzDockerfile);

export default fuzzDockerfiles;
