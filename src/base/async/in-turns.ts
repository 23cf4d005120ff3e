import { setImmediate } from 'node:timers/promises';
import { TimeSlice } from './time-slice.ts';

/** Work that yields between its steps, each of them short. */
export type Steps<T> = Generator<void, T>;

/** Takes all steps, and lets the event loop turn whenever they have taken some milliseconds. */
export async function inTurns<T>(steps: Steps<T>): Promise<T> {
  const slice = new TimeSlice();
  for (;;) {
    const step = steps.next();
    if (step.done) return step.value;
    if (!slice.over) continue;
    await setImmediate();
    slice.begin();
  }
}

/** Takes all steps at once. */
export function atOnce<T>(steps: Steps<T>): T {
  for (;;) {
    const step = steps.next();
    if (step.done) return step.value;
  }
}
