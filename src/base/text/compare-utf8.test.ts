import assert from 'node:assert/strict';
import { it } from 'node:test';
import { compareUtf8 } from './compare-utf8.ts';

it('texts are compared by their bytes in UTF-8', () => {
  const texts = [
    '',
    'a',
    'aa',
    'ab',
    'a.b',
    'a/b',
    'é',
    'z',
    '\ud7ff',
    '\ue000',
    '\uffff',
    '😀',
    '😁',
    'a😀',
    'a\uffff',
  ];
  for (const one of texts)
    for (const other of texts) {
      const expected = Buffer.compare(Buffer.from(one), Buffer.from(other));
      assert.equal(Math.sign(compareUtf8(one, other)), expected, JSON.stringify([one, other]));
    }
});
