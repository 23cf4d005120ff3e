import assert from 'node:assert/strict';
import test from 'node:test';
import { parseGoDuration } from './go-duration.ts';

test('a duration is read as Go writes it', () => {
  for (const [text, nanoseconds] of [
    ['0', 0],
    ['1h30m', 5400e9],
    ['1.5s', 1.5e9],
    ['.5ms', 5e5],
    ['2.us', 2e3],
    ['3µs', 3e3],
    ['3μs', 3e3],
    ['7.9ns', 7],
    ['-1m', -60e9],
    ['+1m', 60e9],
    ['1.001s', 1_001_000_000],
    ['0.123456789s', 123_456_789],
    ['1.0000000019s', 1_000_000_001],
    ['1.000000000000000000001h', 3600e9],
    ['0.0000000000009h', 3],
    ['-0s', 0],
  ] as const) {
    assert.equal(parseGoDuration(text), nanoseconds, text);
  }
});

test('what is no duration is told apart', () => {
  for (const text of ['', '1', '1x', 's', '.s', '1h 30m', '1,5s', '--1s', '1s\n']) {
    assert.equal(parseGoDuration(text), undefined, text);
  }
});
