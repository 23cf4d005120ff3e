import assert from 'node:assert/strict';
import test from 'node:test';
import { parseIgnoreFile } from './ignore-file.ts';

test('ignore files are cleaned', () => {
  assert.deepEqual(parseIgnoreFile(Buffer.from('\uFEFF# c\n a/ \n\n/b/../c\n! d/e/\r\n')), [
    'a',
    'c',
    '!d/e',
  ]);
});
