import { setTimeout as pause } from 'node:timers/promises';

/** Milliseconds after which nothing is expected any more. Says nothing about how fast anything has to be. */
const patience = 120_000;

/**
 * Asks again and again until the answer is neither `false` nor `undefined`, and returns it. For what happens outside of this process and
 * tells nobody. Throws after two minutes, with what `state` returns.
 */
export async function eventually<Answer>(
  ask: () => Answer | Promise<Answer>,
  state: () => unknown,
): Promise<Exclude<Answer, false | undefined>> {
  for (const deadline = performance.now() + patience; ; await pause(20)) {
    const answer = await ask();
    if (answer !== false && answer !== undefined) return answer as Exclude<Answer, false | undefined>;
    if (performance.now() > deadline) throw new Error(`still not so: ${JSON.stringify(state())}`);
  }
}
