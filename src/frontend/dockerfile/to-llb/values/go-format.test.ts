import assert from 'node:assert/strict';
import test from 'node:test';
import { goDuration, goQuote } from './go-format.ts';

test('durations are shown as Go shows them', () => {
  const shown = [0, 1, 1500, 2.5e6, 90e9, 3600e9, 3661.5e9].map(goDuration);
  assert.deepEqual(shown, ['0s', '1ns', '1.5µs', '2.5ms', '1m30s', '1h0m0s', '1h1m1.5s']);
});

test('strings are quoted as Go quotes them', () => {
  assert.equal(goQuote('a "b"\\\n\x07\x1b\u200b é'), '"a \\"b\\"\\\\\\n\\a\\x1b\\u200b é"');
});
