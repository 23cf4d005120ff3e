import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { Interruption } from './interruption.ts';

for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  test(`${name} aborts the signal once, and is let go of afterwards`, { timeout: 5_000 }, async () => {
    const before = process.listenerCount(name);
    {
      using interruption = new Interruption();
      assert.equal(interruption.signal.aborted, false);
      const aborted = once(interruption.signal, 'abort');
      process.kill(process.pid, name);
      await aborted;
      assert.equal(interruption.signal.reason.code, 'canceled');
    }
    assert.equal(process.listenerCount(name), before);
  });
}
