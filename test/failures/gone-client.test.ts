import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Daemon } from '../rig/daemon.ts';
import { WorkDirectory } from '../rig/work-directory.ts';

test('a base that only a client has which is gone comes from the client of the next build', async () => {
  using work = new WorkDirectory();
  await using daemon = await Daemon.start();
  // Fails before it needs the files of its base.
  await daemon.kiln.failingBuild(work.tree({ Dockerfile: 'FROM base\nCOPY missing /x\n' }));
  const { events } = await daemon.kiln.build(work.tree({ Dockerfile: 'FROM base\nRUN true\n' }));
  assert.equal(events.steps('ran').length, 1);
});
