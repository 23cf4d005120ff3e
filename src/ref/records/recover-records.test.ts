import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { test } from 'node:test';
import { mountPointsBelow } from '../../linux/mount-table.ts';
import { snapshotId } from '../../snapshot/snapshot.ts';
import type { RefId } from '../ref.ts';
import type { KilledStoreOutput } from '../testing/killed-ref-store.ts';
import { describeOnSnapshotters } from '../testing/restartable-store.ts';

describeOnSnapshotters('the recovery of records', (store) => {
  test('after a kill complete records are there, and the half-made is gone', async () => {
    await store.stop();
    const script = path.join(import.meta.dirname, '../testing/killed-ref-store.ts');
    const child = spawnSync(process.execPath, [script, store.dir, store.snapshotter.name], {
      encoding: 'utf8',
    });
    assert.equal(child.signal, 'SIGKILL', child.stderr);
    const made = JSON.parse(child.stdout) as KilledStoreOutput;
    await store.start();
    assert.deepEqual(mountPointsBelow(store.dir), []);
    assert.deepEqual(
      (await store.diskUsage.list()).map((record) => record.id).sort(),
      made.complete.toSorted(),
    );
    for (const id of [made.half, made.thawed]) {
      assert.equal(await store.snapshotter.stat(snapshotId(id)), undefined);
    }
    assert.deepEqual(await store.contents((await store.refStore.get(made.frozen as RefId))!), {
      frozen: 'frozen',
    });
    assert.deepEqual(await store.contents((await store.refStore.get(made.merged as RefId))!), {
      base: 'base',
      child: 'child',
      other: 'other',
    });
  });
});
