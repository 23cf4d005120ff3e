import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseDuration, parseMegabytes, parseSize } from './parse-values.ts';

test('durations and sizes have units', () => {
  assert.equal(parseDuration('--d', '1h30m'), 5_400_000_000_000n);
  assert.equal(parseDuration('--d', '1.5s'), 1_500_000_000n);
  assert.equal(parseDuration('--d', '0'), 0n);
  for (const text of ['', '10', '1d', 'h', '1h 2m'])
    assert.throws(() => parseDuration('--d', text), { code: 'invalid_argument' }, text);
  assert.equal(parseSize('--s', '64m'), 64 * 1024 * 1024);
  assert.equal(parseSize('--s', '1.5k'), 1536);
  assert.equal(parseSize('--s', '2GiB'), 2 ** 31);
  assert.throws(() => parseSize('--s', '-1'), { code: 'invalid_argument' });
  assert.equal(parseMegabytes('--m', '1.5'), 1_500_000n);
  assert.throws(() => parseMegabytes('--m', 'x'), { code: 'invalid_argument' });
});
