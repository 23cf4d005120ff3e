import assert from 'node:assert/strict';
import { test } from 'node:test';
import { blobOptions, describeOnSnapshotters, writeFiles } from '../testing/store-rig.ts';

describeOnSnapshotters('the life of records', (rig) => {
  test('a frozen tree that nobody else holds is written to in place, and has another id then', async () => {
    const first = await rig.freeze({ a: '1' });
    assert.deepEqual(await rig.contents(first), { a: '1' });
    const other = first.clone();
    assert.equal(await rig.refStore.thaw(first), undefined, 'somebody else holds it');
    assert.deepEqual(await rig.contents(first), { a: '1' });
    await other.release();
    const mutable = await rig.refStore.thaw(first);
    assert.ok(mutable);
    assert.deepEqual([rig.removed.includes(first.id), await rig.refStore.get(first.id)], [true, undefined]);
    writeFiles((await mutable.plainDir())!, { b: '2' });
    const second = await mutable.freeze();
    assert.notEqual(second.id, first.id);
    assert.deepEqual(await rig.contents(second), { a: '1', b: '2' });
    await second.release();
    const kept = await rig.refStore.get(second.id);
    assert.equal(kept?.id, second.id);
    const given = await rig.refStore.thaw(kept!);
    await given!.release();
    assert.deepEqual(await rig.ids(), [], 'what was not frozen again is gone');
  });

  test('a frozen tree that something is built on, or made of, stays as it is', async () => {
    const below = await rig.freeze({ a: '1' });
    const child = await rig.make({ b: '2' }, below);
    assert.equal(await rig.refStore.thaw(below), undefined);
    assert.deepEqual(await rig.contents(child), { a: '1', b: '2' });
    assert.equal((await rig.refStore.get(below.id))?.id, below.id);
    const exported = await rig.freeze({ c: '3' });
    const [layer] = await rig.layerExport.blobs(exported, blobOptions());
    assert.ok(layer);
    assert.equal(await rig.refStore.thaw(exported), undefined);
  });

  test('a frozen tree survives a restart, and one that was being written to does not', async () => {
    const kept = await rig.freeze({ a: '1' });
    const lost = (await rig.refStore.thaw(await rig.freeze({ b: '2' })))!;
    await rig.restart();
    assert.deepEqual(await rig.contents((await rig.refStore.get(kept.id))!), { a: '1' });
    assert.equal((await rig.ids()).includes(lost.id), false);
  });

  test('what is retired while it is held goes when it is released', async () => {
    const ref = await rig.freeze({ a: '1' });
    rig.refStore.retire(ref.id);
    assert.deepEqual(await rig.contents(ref), { a: '1' });
    await ref.release();
    assert.deepEqual(await rig.ids(), []);
  });
});
