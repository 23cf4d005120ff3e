import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { test } from 'node:test';
import { mountPointsBelow } from '../../linux/mount-table.ts';
import { describeOnSnapshotters, writeFiles } from '../testing/restartable-store.ts';

describeOnSnapshotters('mounts of refs', (store) => {
  test('readers of one tree share a mount, and the last one ends it', async () => {
    const child = await store.make({ b: '2' }, await store.make({ a: '1' }));
    const views = await Promise.all([child.mount(), child.mount(), child.mount()]);
    assert.equal(new Set(views.map((view) => view.path)).size, 1);
    assert.ok(mountPointsBelow(store.dir).length <= 1);
    await views[0]![Symbol.asyncDispose]();
    await views[0]![Symbol.asyncDispose]();
    assert.deepEqual(readdirSync(views[1]!.path).sort(), ['a', 'b']);
    await views[1]![Symbol.asyncDispose]();
    await views[2]![Symbol.asyncDispose]();
    assert.deepEqual(mountPointsBelow(store.dir), []);
  });

  test('a tree without a parent is written and read without a mount', async () => {
    const mutable = await store.refStore.createMutable(undefined, { description: 'plain' });
    const plain = await mutable.plainDir();
    writeFiles(plain!, { a: '1' });
    const ref = await mutable.commit();
    await using view = await ref.mount();
    assert.equal(view.path, plain);
    assert.deepEqual(mountPointsBelow(store.dir), []);
  });
});
