import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { awakeTimeout } from './awake-timeout.ts';

test('time in which the event loop stands still does not count', async () => {
  using timeout = awakeTimeout(1_000);
  const until = performance.now() + 1_500;
  while (performance.now() < until);
  await turn();
  await turn();
  assert.equal(timeout.signal.aborted, false);
  await once(timeout.signal, 'abort');
});
