import assert from 'node:assert/strict';
import test from 'node:test';
import { editDistance } from './edit-distance.ts';

test('insertions, removals and replacements count as one edit each', () => {
  assert.equal(editDistance('', ''), 0);
  assert.equal(editDistance('', 'abc'), 3);
  assert.equal(editDistance('kitten', 'sitting'), 3);
  assert.equal(editDistance('build', 'built'), 1);
});

test('a swap of neighbours is one edit only where that is wanted', () => {
  assert.equal(editDistance('biuld', 'build'), 2);
  assert.equal(editDistance('biuld', 'build', { swaps: true }), 1);
  assert.equal(editDistance('ba', 'ab', { swaps: true }), 1);
});
