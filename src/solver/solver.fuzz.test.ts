import { it } from 'node:test';
import { fuzzSchedule } from './testing/fuzz-schedule.ts';

/** KILN_FUZZ_SCHEDULES: how many; KILN_FUZZ_SEED: the first seed, which alone decides what happens. */
const schedules = Number(process.env.KILN_FUZZ_SCHEDULES ?? 2000);
const firstSeed = Number(process.env.KILN_FUZZ_SEED ?? 1);

it(`every one of ${schedules} random schedules ends as the model says, with nothing left behind`, async () => {
  for (let seed = firstSeed; seed < firstSeed + schedules; seed++) {
    try {
      await fuzzSchedule(seed);
    } catch (cause) {
      throw new Error(`seed ${seed} (KILN_FUZZ_SEED=${seed} KILN_FUZZ_SCHEDULES=1 runs it alone)`, { cause });
    }
  }
});
