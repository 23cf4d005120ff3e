import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { fuzz } from '../../base/testing/fuzz.ts';
import { MutatedSolver } from './mutated-solver.ts';
import { mutations } from './mutations.ts';

describe('the fuzzer catches a scheduler that', () => {
  for (const mutation of mutations)
    it(mutation.name, async () => {
      using solver = new MutatedSolver(mutation);
      const failure = await fuzz({ firstSeed: 1, count: 10_000, task: solver.task, patience: 10_000 });
      assert(failure, 'none of 10,000 schedules went wrong');
    });
});
