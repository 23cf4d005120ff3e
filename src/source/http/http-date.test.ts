import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseHttpDate } from './http-date.ts';

test('dates are read in the three forms of HTTP', () => {
  const date = new Date(Date.UTC(1994, 10, 6, 8, 49, 37));
  for (const text of [
    'Sun, 06 Nov 1994 08:49:37 GMT',
    'Sunday, 06-Nov-94 08:49:37 GMT',
    'Sunday, 06-Nov-94 08:49:37 UTC',
    'Sun Nov  6 08:49:37 1994',
  ]) {
    assert.deepEqual(parseHttpDate(text), date, text);
  }
  assert.equal(parseHttpDate('Friday, 06-Nov-26 08:49:37 GMT')?.getUTCFullYear(), 2026);
});

test('what is no date of HTTP is none', () => {
  for (const text of [
    '',
    '0',
    '1994-11-06T08:49:37Z',
    'Sun, 99 Nov 1994 08:49:37 GMT',
    'Sun, 06 Nix 1994 08:49:37 GMT',
  ]) {
    assert.equal(parseHttpDate(text), undefined, text);
  }
});
