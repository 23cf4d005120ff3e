import assert from 'node:assert/strict';
import { test } from 'node:test';
import { HiddenValues } from './hidden-values.ts';

const hiding = (...values: readonly string[]) => {
  const hidden = new HiddenValues();
  for (const value of values) hidden.add(value);
  return hidden;
};

test('values are hidden wherever a text has them, the longest first', () => {
  const hidden = hiding('12345678', '123456789', 'with space', 'short');
  assert.equal(hidden.hide('a 123456789 b 12345678c with space short'), 'a xxxxx b xxxxxc xxxxx short');
  assert.equal(hidden.hide('1234567812345678'), 'xxxxxxxxxx');
  const innocent = 'nothing of that';
  assert.equal(hidden.hide(innocent), innocent);
  assert.equal(hiding().hide('12345678'), '12345678');
});

test('very many values that begin alike hide all that begins so', () => {
  const values = Array.from({ length: 100_000 }, (_, index) => `aaaaaaaa${index}`);
  const text = 'aaaaaaaa7 b '.repeat(10_000);
  assert.equal(hiding(...values).hide(text), 'xxxxx b '.repeat(10_000));
});

test('long values take no longer where texts nearly have them', () => {
  const almost = `${'a'.repeat(200_000)}b`;
  const text = 'a'.repeat(400_000);
  assert.equal(hiding(`c${almost}`).hide(text), text);
  assert.equal(hiding(almost).hide(`x ${almost} y`), 'x xxxxx y');
});
