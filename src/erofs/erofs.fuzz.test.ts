import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fuzz } from '../base/testing/fuzz.ts';

/** KILN_FUZZ_IMAGES: how many trees; KILN_FUZZ_SEED: the first seed, which alone decides what is in one. */
const count = Number(process.env.KILN_FUZZ_IMAGES ?? 10_000);
const firstSeed = Number(process.env.KILN_FUZZ_SEED ?? 1);

test(`${count} images have the trees that were written, and the kernel and fsck.erofs agree on some of them`, async () => {
  const task = new URL('./testing/fuzz-images.task.ts', import.meta.url);
  const failure = await fuzz({ firstSeed, count, task });
  if (failure)
    assert.fail(
      `seed ${failure.seed} (KILN_FUZZ_SEED=${failure.seed} KILN_FUZZ_IMAGES=1 runs it alone): ${failure.report}`,
    );
});
