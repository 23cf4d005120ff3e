import assert from 'node:assert/strict';
import { test } from 'node:test';
import { StepLog } from './step-log.ts';

const lines = (count: number): Buffer => Buffer.from('line\n'.repeat(count));

test('a step may write a million lines before anybody takes one', () => {
  const log = new StepLog();
  log.add(1, lines(1_000_000), 1);
  assert.equal(log.take().length, 1_000_000);
  log.add(1, lines(1), 1);
  assert.equal(log.untaken, 1);
});

test('of lines that were taken, the last are kept, and the others counted', () => {
  const log = new StepLog();
  let most = 0;
  for (let round = 0; round < 100; round++) {
    log.add(1, lines(1_000), 1);
    assert.equal(log.take().length, 1_000);
    const { lines: kept, earlier } = log.tail(Number.MAX_SAFE_INTEGER);
    assert.equal(kept.length + earlier, (round + 1) * 1_000);
    most = Math.max(most, kept.length);
  }
  assert.ok(most >= 5_000 && most <= 11_000, `${most} lines are kept`);
});
