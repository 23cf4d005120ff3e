import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fuzz } from '../base/testing/fuzz.ts';

/** KILN_FUZZ_LAYERS: how many stacks; KILN_FUZZ_SEED: the first seed, which alone decides what is in one. */
const count = Number(process.env.KILN_FUZZ_LAYERS ?? 100);
const firstSeed = Number(process.env.KILN_FUZZ_SEED ?? 1);

test(`what is hashed of ${count} stacks of hostile layers is what the kernel shows when they are mounted`, async () => {
  const task = new URL('./testing/fuzz-layers.task.ts', import.meta.url);
  const failure = await fuzz({ firstSeed, count, task });
  if (failure)
    assert.fail(
      `seed ${failure.seed} (KILN_FUZZ_SEED=${failure.seed} KILN_FUZZ_LAYERS=1 runs it alone): ${failure.report}`,
    );
});
