import assert from 'node:assert/strict';
import { test } from 'node:test';
import { atOnce, inTurns } from './in-turns.ts';

function* steps(count: number) {
  const taken: number[] = [];
  for (let step = 0; step < count; step++) {
    const until = performance.now() + 3;
    while (performance.now() < until);
    taken.push(step);
    yield;
  }
  return taken.length;
}

test('long work in turns lets the event loop turn, and has the same outcome as at once', async () => {
  let turns = 0;
  const timer = setInterval(() => turns++, 1);
  assert.equal(await inTurns(steps(20)), 20);
  clearInterval(timer);
  assert.ok(turns >= 3, `${turns} turns`);
  assert.equal(atOnce(steps(2)), 2);
});

test('a step that throws ends the work', async () => {
  await assert.rejects(
    inTurns(
      (function* () {
        yield;
        throw new RangeError('no');
      })(),
    ),
    RangeError,
  );
});
