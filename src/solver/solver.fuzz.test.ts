import assert from 'node:assert/strict';
import { it } from 'node:test';
import { fuzz } from '../base/testing/fuzz.ts';

/** KILN_FUZZ_SCHEDULES: how many; KILN_FUZZ_SEED: the first seed, which alone decides what happens. */
const schedules = Number(process.env.KILN_FUZZ_SCHEDULES ?? 100_000);
const task = new URL('./testing/fuzz-schedules.task.ts', import.meta.url);
const firstSeed = Number(process.env.KILN_FUZZ_SEED ?? 1);

it(`every one of ${schedules} random schedules ends as the model says, with nothing left behind`, async () => {
  const failure = await fuzz({ firstSeed, count: schedules, task });
  if (failure)
    assert.fail(
      `seed ${failure.seed} (KILN_FUZZ_SEED=${failure.seed} KILN_FUZZ_SCHEDULES=1 runs it alone): ${failure.report}`,
    );
});
