import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FairTurns } from './fair-turns.ts';

test('a thousand pieces of work asked for at once run in order, and the event loop turns between them', async () => {
  const turns = new FairTurns();
  let ticks = 0;
  const timer = setInterval(() => ticks++, 1);
  const done: number[] = [];
  const numbers = Array.from({ length: 1000 }, (_, index) => index);
  await Promise.all(
    numbers.map(async (number) => {
      await turns.take();
      const until = performance.now() + 0.1;
      while (performance.now() < until);
      done.push(number);
    }),
  );
  clearInterval(timer);
  assert.deepEqual(done, numbers);
  assert.ok(ticks >= 4, `${ticks} ticks`);
});
