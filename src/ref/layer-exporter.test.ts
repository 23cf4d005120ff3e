import assert from 'node:assert/strict';
import { test } from 'node:test';
import { digestOf } from '../base/digest.ts';
import { mediaTypes } from '../oci/descriptor.ts';
import type { RefId } from './ref.ts';
import { blobOptions, describeOnSnapshotters, hasCode } from './testing/restartable-store.ts';

describeOnSnapshotters('the export of layers', (store) => {
  test('blobs are made once, remembered, and belong to their layers', async () => {
    const base = await store.make({ a: '1' });
    const ref = await store.make({ b: '2' }, base);
    const [one, two] = await Promise.all([
      store.layerExport.blobs(ref, blobOptions()),
      store.layerExport.blobs(ref, blobOptions()),
    ]);
    assert.deepEqual(one, two);
    assert.equal(one.length, 2);
    assert.equal(one[0]!.descriptor.mediaType, mediaTypes.ociLayerGzip);
    assert.deepEqual((await store.layerExport.blobs(base, blobOptions()))[0]!.descriptor, one[0]!.descriptor);
    const docker = await store.layerExport.blobs(ref, blobOptions({ mediaTypes: 'docker' }));
    assert.equal(docker[0]!.descriptor.mediaType, mediaTypes.dockerLayerGzip);
    assert.equal(docker[0]!.descriptor.digest, one[0]!.descriptor.digest);
    const kept = await store.layerExport.blobs(ref, blobOptions({ compression: 'zstd' }));
    assert.equal(kept[0]!.descriptor.digest, one[0]!.descriptor.digest);
    const forced = await store.layerExport.blobs(ref, blobOptions({ compression: 'zstd', force: true }));
    assert.equal(forced[0]!.descriptor.mediaType, mediaTypes.ociLayerZstd);
    assert.equal(forced[0]!.diffId, one[0]!.diffId);
  });

  test('the blobs of a tree are known when all of its layers have some, and asking is no use of it', async () => {
    const { refStore } = store;
    const base = await store.make({ a: '1' });
    const ref = await store.make({ b: '2' }, base);
    const merged = await refStore.merge([ref, await store.make({ c: '3' })], { description: 'merged' });
    assert.equal(refStore.layerBlobs(ref.id), undefined);
    await store.layerExport.blobs(base, blobOptions());
    assert.equal(refStore.layerBlobs(base.id)?.length, 1);
    assert.equal(refStore.layerBlobs(ref.id), undefined);
    const uses = async () => (await store.diskUsage.list()).map(({ id, usageCount }) => [id, usageCount]);
    const before = await uses();
    const blobs = await store.layerExport.blobs(ref, blobOptions());
    assert.deepEqual(
      refStore.layerBlobs(ref.id),
      blobs.map(({ descriptor }) => descriptor),
    );
    assert.equal(refStore.layerBlobs(merged.id), undefined);
    assert.deepEqual(refStore.layerBlobs((await refStore.scratch()).id), []);
    assert.equal(refStore.layerBlobs('gone' as RefId), undefined);
    assert.deepEqual(await uses(), before);
  });

  test('file times are clamped only in blobs that are asked with an epoch', async () => {
    const ref = await store.make({ a: '1' });
    const plain = await store.layerExport.blobs(ref, blobOptions());
    const clamped = await store.layerExport.blobs(ref, blobOptions({ epoch: 1_000_000_000 }));
    assert.notEqual(clamped[0]!.diffId, plain[0]!.diffId);
    assert.deepEqual(await store.layerExport.blobs(ref, blobOptions({ epoch: 1_000_000_000 })), clamped);
    assert.deepEqual(clamped[0]!.descriptor.annotations, { 'buildkit/rewritten-timestamp': '1000000000' });
    assert.deepEqual(await store.layerExport.blobs(ref, blobOptions()), plain);
  });

  test('asking for the blobs of lazy layers brings nothing, until one is ensured', async () => {
    const { blobs, provider, fetched } = await store.remoteLayers([{ a: '1' }, { b: '2' }]);
    const base = await store.layerImport.fromBlobs(blobs, provider, { description: 'image' });
    const found = await store.layerExport.blobs(base, blobOptions({ epoch: 5 }));
    assert.deepEqual(
      found.map((blob) => blob.descriptor.digest),
      blobs.map((blob) => blob.descriptor.digest),
    );
    assert.deepEqual(fetched, []);
    await store.layerExport.ensureBlob(found[1]!, {});
    await store.layerExport.ensureBlob(found[1]!, {});
    assert.deepEqual(fetched, [blobs[1]!.descriptor.digest]);
  });

  test('a claim about a layer is tested when it is compressed anew, too', async () => {
    const { blobs, provider } = await store.remoteLayers([{ a: '1' }]);
    const wrong = [{ ...blobs[0]!, diffId: digestOf('something else') }];
    const ref = await store.layerImport.fromBlobs(wrong, provider, { description: 'image' });
    const options = blobOptions({ compression: 'zstd', force: true });
    await assert.rejects(store.layerExport.blobs(ref, options), hasCode('data_loss'));
  });
});
