import assert from 'node:assert/strict';
import { test } from 'node:test';
import { digestOf } from '../../base/digest.ts';
import { type ProgressWriter, silentProgress } from '../../base/progress.ts';
import { writeBlob } from '../../content/content.ts';
import { snapshotId } from '../../snapshot/snapshot.ts';
import type { BlobProvider } from '../layer-import.ts';
import { describeOnSnapshotters, hasCode } from '../testing/restartable-store.ts';

describeOnSnapshotters('lazy layers', (store) => {
  test('lazy layers are brought when their files are needed, once for all who ask', async () => {
    const { blobs, provider, fetched } = await store.remoteLayers([{ a: '1' }, { b: '2' }, { c: '3' }]);
    const ref = await store.layerImport.fromBlobs(blobs, provider, { description: 'image' });
    const same = await store.layerImport.fromBlobs(blobs, provider, { description: 'image' });
    const shorter = await store.layerImport.fromBlobs(blobs.slice(0, 2), provider, { description: 'base' });
    assert.equal(ref.id, same.id);
    assert.equal(shorter.layers().at(-1)!.id, ref.layers()[1]!.id);
    assert.deepEqual(fetched, []);
    assert.deepEqual(
      await Promise.all([store.contents(ref), store.contents(same), store.contents(shorter)]),
      [
        { a: '1', b: '2', c: '3' },
        { a: '1', b: '2', c: '3' },
        { a: '1', b: '2' },
      ],
    );
    assert.deepEqual(fetched.toSorted(), blobs.map((blob) => blob.descriptor.digest).sort());
  });

  test('unpacking shows as progress to everyone who waits for it', async () => {
    const { blobs, provider } = await store.remoteLayers([{ a: '1' }]);
    const ref = await store.layerImport.fromBlobs(blobs, provider, { description: 'image' });
    const seen: string[][] = [[], []];
    const writer = (index: number): ProgressWriter => ({
      ...silentProgress,
      status: ({ id, completed }) => seen[index]!.push(`${id}${completed ? ' done' : ''}`),
    });
    await Promise.all([ref.layerDirs({ progress: writer(0) }), ref.layerDirs({ progress: writer(1) })]);
    const id = `extracting ${blobs[0]!.descriptor.digest}`;
    assert.deepEqual(seen, [
      [id, `${id} done`],
      [id, `${id} done`],
    ]);
  });

  test('one who stops waiting for a layer does not stop the others', async () => {
    const { blobs, provider } = await store.remoteLayers([{ a: '1' }]);
    const gate = Promise.withResolvers<void>();
    const asked = Promise.withResolvers<void>();
    const slow: BlobProvider = {
      async fetch(descriptor, context) {
        asked.resolve();
        await gate.promise;
        await provider.fetch(descriptor, context);
      },
    };
    const ref = await store.layerImport.fromBlobs(blobs, slow, { description: 'image' });
    const impatient = new AbortController();
    const one = ref.layerDirs({ signal: impatient.signal });
    const two = ref.layerDirs();
    await asked.promise;
    impatient.abort();
    await assert.rejects(one, hasCode('canceled'));
    gate.resolve();
    assert.equal((await two).length, 1);
    assert.deepEqual(await store.contents(ref), { a: '1' });
  });

  test('a layer comes from another who has it when the one named last stalls, or brings something else', {
    timeout: 60_000,
  }, async () => {
    const { blobs, provider } = await store.remoteLayers([{ a: '1' }, { b: '2' }]);
    const hostile: BlobProvider = {
      async fetch({ digest }, { signal }) {
        if (digest === blobs[0]!.descriptor.digest)
          await new Promise((_, reject) => signal.addEventListener('abort', reject));
        else await writeBlob(store.content, Buffer.from('something else'), { digest });
      },
    };
    const ref = await store.layerImport.fromBlobs(blobs, provider, { description: 'image' });
    const claimed = await store.layerImport.fromBlobs(blobs, hostile, { description: 'the same blobs' });
    assert.deepEqual(await store.contents(ref), { a: '1', b: '2' });
    assert.equal(claimed.id, ref.id);
  });

  test('a layer that nobody waits for any more is not brought, and can be brought later', async () => {
    const { blobs, provider } = await store.remoteLayers([{ a: '1' }]);
    const asked = Promise.withResolvers<void>();
    const stopped = Promise.withResolvers<void>();
    const endless: BlobProvider = {
      fetch: (_, { signal }) =>
        new Promise((_resolve, reject) => {
          asked.resolve();
          signal.addEventListener('abort', () => {
            stopped.resolve();
            reject(signal.reason);
          });
        }),
    };
    const ref = await store.layerImport.fromBlobs(blobs, endless, { description: 'image' });
    const impatient = new AbortController();
    const waiting = ref.layerDirs({ signal: impatient.signal });
    await asked.promise;
    impatient.abort();
    await assert.rejects(waiting, hasCode('canceled'));
    await stopped.promise;
    const again = await store.layerImport.fromBlobs(blobs, provider, { description: 'image' });
    assert.deepEqual(await store.contents(again), { a: '1' });
  });

  test('a layer that is not what the image says is refused and leaves nothing', async () => {
    const { blobs, provider } = await store.remoteLayers([{ a: '1' }]);
    const wrong = [{ ...blobs[0]!, diffId: digestOf('something else') }];
    const ref = await store.layerImport.fromBlobs(wrong, provider, { description: 'image' });
    await assert.rejects(ref.mount(), hasCode('data_loss'));
    assert.equal(await store.snapshotter.stat(snapshotId(ref.id)), undefined);
  });

  test('a lazy ref that nobody can bring any more is not found', async () => {
    const { blobs, provider } = await store.remoteLayers([{ a: '1' }]);
    const ref = await store.layerImport.fromBlobs(blobs, provider, { description: 'image' });
    await ref.release();
    await store.restart();
    assert.equal(await store.refStore.get(ref.id), undefined);
    const again = await store.layerImport.fromBlobs(blobs, provider, { description: 'image' });
    assert.equal(again.id, ref.id);
    assert.deepEqual(await store.contents(again), { a: '1' });
  });
});
