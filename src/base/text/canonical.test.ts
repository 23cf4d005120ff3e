import assert from 'node:assert/strict';
import { test } from 'node:test';
import { canonicalDigest, canonicalText } from './canonical.ts';

test('the order of keys and absent fields do not change a digest', () => {
  assert.equal(
    canonicalDigest('x', { b: 1, a: [true, 'z'], c: undefined }),
    canonicalDigest('x', { a: [true, 'z'], b: 1 }),
  );
});

test('values of different types never read the same', () => {
  const texts = ['1', 1, 1n, Buffer.from('1'), [1], { 1: 1 }, null, true].map(canonicalText);
  assert.equal(new Set(texts).size, texts.length);
});

test('the kind separates equal values', () => {
  assert.notEqual(canonicalDigest('a', 1), canonicalDigest('b', 1));
});
