import { setTimeout as timeout } from 'node:timers/promises';
import { type FuzzChunk, type FuzzFailure, runSeeds } from './run-seeds.ts';

/** Cases that take a tenth of a second, but for that of seed 0, which never ends. */
export default async function slowCases(chunk: FuzzChunk): Promise<FuzzFailure | undefined> {
  return await runSeeds(chunk, (seed) => (seed === 0 ? new Promise(() => {}) : timeout(100)));
}
