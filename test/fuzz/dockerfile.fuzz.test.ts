import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fuzz } from '../../src/base/testing/fuzz.ts';

/** KILN_FUZZ_DOCKERFILES: how many; KILN_FUZZ_SEED: the first seed, which alone decides what happens. */
const count = Number(process.env.KILN_FUZZ_DOCKERFILES ?? 10_000);
const firstSeed = Number(process.env.KILN_FUZZ_SEED ?? 1);

test(`each of ${count} mutated Dockerfiles is converted or refused with its place`, async () => {
  const task = new URL('./fuzz-dockerfiles.task.ts', import.meta.url);
  const failure = await fuzz({ firstSeed, count, task });
  if (failure)
    assert.fail(
      `seed ${failure.seed} (KILN_FUZZ_SEED=${failure.seed} KILN_FUZZ_DOCKERFILES=1 runs it alone): ${failure.report}`,
    );
});
