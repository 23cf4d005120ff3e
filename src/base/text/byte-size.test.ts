import assert from 'node:assert/strict';
import test from 'node:test';
import { parseByteSize } from './byte-size.ts';

test('a size is read with the binary units that people write', () => {
  for (const [text, bytes] of [
    ['0', 0],
    ['100', 100],
    ['100b', 100],
    ['64m', 64 * 1024 ** 2],
    ['512kB', 512 * 1024],
    ['1.5GiB', 1.5 * 1024 ** 3],
    ['2 T', 2 * 1024 ** 4],
    ['1pb', 1024 ** 5],
    ['1ki', 1024],
    ['1.3k', 1331.2],
  ] as const) {
    assert.equal(parseByteSize(text), bytes, text);
  }
});

test('what is no size is told apart', () => {
  for (const text of [
    '',
    'm',
    '-1',
    '+1',
    '1.',
    '.5',
    '1e3',
    '1i',
    '1ib',
    '1x',
    '1kk',
    '1 k b',
    ' 1',
    '1\u0660',
  ]) {
    assert.equal(parseByteSize(text), undefined, text);
  }
});
