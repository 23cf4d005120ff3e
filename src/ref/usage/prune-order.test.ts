import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PriorityQueue } from './priority-queue.ts';
import { pruneScores } from './prune-order.ts';

const order = (candidates: { name: string; lastUsedAt?: Date; usageCount: number }[]) => {
  const scores = pruneScores(candidates);
  return candidates.toSorted((a, b) => scores.get(a)! - scores.get(b)!).map(({ name }) => name);
};

test('what was never used goes first, then what was used longest ago', () => {
  const at = (time: number) => new Date(time);
  assert.deepEqual(
    order([
      { name: 'new', lastUsedAt: at(300), usageCount: 1 },
      { name: 'never', usageCount: 0 },
      { name: 'old', lastUsedAt: at(100), usageCount: 1 },
      { name: 'middle', lastUsedAt: at(200), usageCount: 1 },
    ]),
    ['never', 'old', 'middle', 'new'],
  );
});

test('what was used more often stays longer than what was used at about the same time', () => {
  assert.deepEqual(
    order([
      { name: 'often', lastUsedAt: new Date(100), usageCount: 9 },
      { name: 'once', lastUsedAt: new Date(101), usageCount: 1 },
      { name: 'newest', lastUsedAt: new Date(200), usageCount: 9 },
    ]),
    ['once', 'often', 'newest'],
  );
});

test('the queue gives the lowest score first, whatever the order of pushes and pops', () => {
  const queue = new PriorityQueue<number>((value) => value);
  const expected: number[] = [];
  let seed = 7;
  for (let turn = 0; turn < 2000; turn++) {
    seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648;
    if (seed % 3 === 0) assert.equal(queue.pop(), expected.shift());
    else {
      queue.push(seed);
      expected.push(seed);
      expected.sort((a, b) => a - b);
    }
  }
  while (expected.length > 0) assert.equal(queue.pop(), expected.shift());
  assert.equal(queue.pop(), undefined);
});
