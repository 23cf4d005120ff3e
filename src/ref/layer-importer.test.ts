import assert from 'node:assert/strict';
import { test } from 'node:test';
import { digestOf } from '../base/digest.ts';
import { describeOnSnapshotters, hasCode } from './testing/restartable-store.ts';

describeOnSnapshotters('the import of layers', (store) => {
  test('layers that are only said to be the same are not shared before it is known', async () => {
    const { blobs, provider } = await store.remoteLayers([{ a: '1' }, { b: '2' }]);
    const other = await store.remoteLayers([{ a: 'backdoor' }]);
    const forged = [{ ...other.blobs[0]!, diffId: blobs[0]!.diffId }, blobs[1]!];
    const claiming = await store.layerImport.fromBlobs(forged, other.provider, { description: 'forged' });
    const genuine = await store.layerImport.fromBlobs(blobs, provider, { description: 'image' });
    assert.notEqual(genuine.id, claiming.id);
    assert.deepEqual(await store.contents(genuine), { a: '1', b: '2' });
    const later = await store.layerImport.fromBlobs(forged, other.provider, { description: 'forged' });
    assert.equal(later.id, genuine.id, 'what is unpacked is what everybody means by its diff ids');
    assert.deepEqual(later.layers()[0]!.blobs, [blobs[0]], 'the blob it came in is not known to be the same');
    await claiming.release();
    for (const ref of [genuine, later]) await ref.release();
    await store.restart();
    const again = await store.layerImport.fromBlobs(forged, other.provider, { description: 'forged' });
    assert.equal(again.id, genuine.id);
  });

  test('a layer that turned out to be something else is given to nobody any more', async () => {
    const { blobs, provider } = await store.remoteLayers([{ a: '1' }]);
    const wrong = [{ ...blobs[0]!, diffId: digestOf('something else') }];
    const ref = await store.layerImport.fromBlobs(wrong, provider, { description: 'image' });
    await assert.rejects(ref.mount(), hasCode('data_loss'));
    assert.equal(await store.refStore.get(ref.id), undefined);
    const next = await store.layerImport.fromBlobs(wrong, provider, { description: 'image' });
    assert.notEqual(next.id, ref.id);
    await ref.release();
    assert.ok((await store.diskUsage.list()).every(({ id }) => id !== ref.id));
  });

  test('a layer that comes again from elsewhere is known to be in both places, also after a restart', async () => {
    const { blobs, provider } = await store.remoteLayers([{ a: '1' }, { b: '2' }]);
    const name = 'containerd.io/distribution.source.registry.example';
    const from = (repository: string) =>
      blobs.map((blob) => ({
        ...blob,
        descriptor: { ...blob.descriptor, annotations: { [name]: repository } },
      }));
    const first = await store.layerImport.fromBlobs(from('one'), provider, { description: 'image' });
    const again = await store.layerImport.fromBlobs(from('two'), provider, { description: 'cache' });
    assert.equal(again.id, first.id);
    const places = (ref: typeof first) =>
      ref.layers().map((layer) => layer.blobs[0]!.descriptor.annotations?.[name]);
    assert.deepEqual(places(again), ['one,two', 'one,two']);
    assert.deepEqual(await store.contents(again), { a: '1', b: '2' });
    for (const ref of [first, again]) await ref.release();
    await store.restart();
    const kept = (await store.refStore.get(first.id))!;
    assert.deepEqual(places(kept), ['one,two', 'one,two']);
    await kept.release();
  });
});
