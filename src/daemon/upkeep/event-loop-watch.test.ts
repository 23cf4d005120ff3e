import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { EventLoopWatch } from './event-loop-watch.ts';

test('the longest delay since the last question is found, with how much of it was work', async () => {
  using watch = new EventLoopWatch();
  watch.take();
  await pause(20);
  // Measured by itself: others may have the processor for most of any time.
  const begun = process.threadCpuUsage();
  while (process.threadCpuUsage(begun).user < 120_000);
  await pause(20);
  const busy = watch.take();
  assert.ok(busy.duration >= 110 && busy.work > 100, JSON.stringify(busy));
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 120);
  await pause(20);
  const asleep = watch.take();
  assert.ok(asleep.duration >= 110 && asleep.work < 60, JSON.stringify(asleep));
});
