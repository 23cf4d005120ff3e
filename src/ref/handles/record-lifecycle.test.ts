import assert from 'node:assert/strict';
import { test } from 'node:test';
import { blobOptions, describeOnSnapshotters, writeFiles } from '../testing/restartable-store.ts';

describeOnSnapshotters('the life of records', (store) => {
  test('a frozen tree that nobody else holds is written to in place, and has another id then', async () => {
    const first = await store.freeze({ a: '1' });
    assert.deepEqual(await store.contents(first), { a: '1' });
    const other = first.clone();
    assert.equal(await store.refStore.thaw(first), undefined, 'somebody else holds it');
    assert.deepEqual(await store.contents(first), { a: '1' });
    await other.release();
    const mutable = await store.refStore.thaw(first);
    assert.ok(mutable);
    assert.deepEqual(
      [store.removed.includes(first.id), await store.refStore.get(first.id)],
      [true, undefined],
    );
    writeFiles((await mutable.plainDir())!, { b: '2' });
    const second = await mutable.freeze();
    assert.notEqual(second.id, first.id);
    assert.deepEqual(await store.contents(second), { a: '1', b: '2' });
    await second.release();
    const kept = await store.refStore.get(second.id);
    assert.equal(kept?.id, second.id);
    const given = await store.refStore.thaw(kept!);
    await given!.release();
    assert.deepEqual(await store.ids(), [], 'what was not frozen again is gone');
  });

  test('a frozen tree that something is built on, or made of, stays as it is', async () => {
    const below = await store.freeze({ a: '1' });
    const child = await store.make({ b: '2' }, below);
    assert.equal(await store.refStore.thaw(below), undefined);
    assert.deepEqual(await store.contents(child), { a: '1', b: '2' });
    assert.equal((await store.refStore.get(below.id))?.id, below.id);
    const exported = await store.freeze({ c: '3' });
    const [layer] = await store.layerExport.blobs(exported, blobOptions());
    assert.ok(layer);
    assert.equal(await store.refStore.thaw(exported), undefined);
  });

  test('a frozen tree survives a restart, and one that was being written to does not', async () => {
    const kept = await store.freeze({ a: '1' });
    const lost = (await store.refStore.thaw(await store.freeze({ b: '2' })))!;
    await store.restart();
    assert.deepEqual(await store.contents((await store.refStore.get(kept.id))!), { a: '1' });
    assert.equal((await store.ids()).includes(lost.id), false);
  });

  test('what is retired while it is held goes when it is released', async () => {
    const ref = await store.freeze({ a: '1' });
    store.refStore.retire(ref.id);
    assert.deepEqual(await store.contents(ref), { a: '1' });
    await ref.release();
    assert.deepEqual(await store.ids(), []);
  });
});
