import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatTime } from './format-time.ts';

test('times have no more decimals than they need', () => {
  assert.equal(formatTime(new Date('2024-01-01T10:00:00.000Z')), '2024-01-01T10:00:00Z');
  assert.equal(formatTime(new Date('2024-01-01T10:00:00.050Z')), '2024-01-01T10:00:00.05Z');
  assert.equal(formatTime(new Date('2024-01-01T10:00:00.123Z')), '2024-01-01T10:00:00.123Z');
});
