import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { digestOf } from '../../base/digest.ts';
import { type ProgressWriter, silentProgress } from '../../base/progress.ts';
import { writeBlob } from '../../content/content.ts';
import { snapshotId } from '../../snapshot/snapshot.ts';
import type { BlobProvider } from '../layer-import.ts';
import { describeOnSnapshotters, hasCode, type RestartableStore } from '../testing/restartable-store.ts';

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

  test('a layer is unpacked before the one below it has come, where it is kept by itself', {
    timeout: 60_000,
  }, async () => {
    const { blobs, provider } = await store.remoteLayers([
      { 'dir/a': '1', 'dir/gone': '1' },
      { 'dir/b': '2' },
      { c: '3' },
    ]);
    const unpacked = Promise.withResolvers<void>();
    if (store.snapshotter.name === 'native') unpacked.resolve();
    const [bottom, ...others] = blobs.map(({ descriptor }) => descriptor.digest);
    const awaited = new Set(others);
    const slow: BlobProvider = {
      async fetch(descriptor, context) {
        if (descriptor.digest === bottom) await unpacked.promise;
        await provider.fetch(descriptor, context);
      },
    };
    const progress: ProgressWriter = {
      ...silentProgress,
      status({ id, completed }) {
        const digest = others.find((each) => id === `extracting ${each}`);
        if (digest && completed) awaited.delete(digest);
        if (awaited.size === 0) unpacked.resolve();
      },
    };
    const ref = await store.layerImport.fromBlobs(blobs, slow, { description: 'image' });
    await ref.layerDirs({ progress });
    assert.deepEqual(await store.contents(ref), { 'dir/a': '1', 'dir/b': '2', 'dir/gone': '1', c: '3' });
    await nothingElse(store);
  });

  test('of an image with a broken layer the layers below it can be used, and nothing is left of the others', {
    timeout: 60_000,
  }, async () => {
    const { blobs, provider } = await store.remoteLayers([{ a: '1' }, { b: '2' }, { c: '3' }, { d: '4' }]);
    const broken = blobs.with(1, { ...blobs[1]!, diffId: digestOf('something else') });
    const ref = await store.layerImport.fromBlobs(broken, provider, { description: 'image' });
    await assert.rejects(ref.mount(), hasCode('data_loss'));
    await nothingElse(store);
    const [below, ...above] = ref.layers().map(({ id }) => snapshotId(id));
    for (const id of above) assert.equal(await store.snapshotter.stat(id), undefined);
    assert.notEqual((await store.snapshotter.stat(below!))?.state, 'active');
    const good = await store.layerImport.fromBlobs(blobs, provider, { description: 'another image' });
    assert.deepEqual(await store.contents(good), { a: '1', b: '2', c: '3', d: '4' });
  });

  test('who stops waiting while layers wait for the one below leaves nothing, and they can be had later', {
    timeout: 60_000,
  }, async () => {
    const { blobs, provider } = await store.remoteLayers([{ a: '1' }, { b: '2' }, { c: '3' }]);
    const [bottom, ...others] = blobs.map(({ descriptor }) => descriptor.digest);
    const fetched = new Set<string>();
    const unfetched = Promise.withResolvers<void>();
    const stuck: BlobProvider = {
      async fetch(descriptor, context) {
        if (descriptor.digest === bottom) {
          await new Promise((_, reject) => context.signal.addEventListener('abort', reject));
        }
        await provider.fetch(descriptor, context);
        fetched.add(descriptor.digest);
        if (others.every((digest) => fetched.has(digest))) unfetched.resolve();
      },
    };
    const ref = await store.layerImport.fromBlobs(blobs, stuck, { description: 'image' });
    const impatient = new AbortController();
    const waiting = ref.layerDirs({ signal: impatient.signal });
    await unfetched.promise;
    impatient.abort();
    await assert.rejects(waiting, hasCode('canceled'));
    await nothingElse(store);
    assert.deepEqual(await Array.fromAsync(store.snapshotter.list()), []);
    const again = await store.layerImport.fromBlobs(blobs, provider, { description: 'image' });
    assert.deepEqual(await store.contents(again), { a: '1', b: '2', c: '3' });
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

/** Waits until the directories of the snapshotter are those of its committed snapshots: work that was aborted ends a little later. */
async function nothingElse(store: RestartableStore): Promise<void> {
  for (;;) {
    const snapshots = await Array.fromAsync(store.snapshotter.list());
    const kept = snapshots.map(({ id }) => id as string).sort();
    const there = readdirSync(path.join(store.dir, 'snapshots', 's')).sort();
    const allCommitted = snapshots.every(({ state }) => state === 'committed');
    if (allCommitted && JSON.stringify(kept) === JSON.stringify(there)) return;
    await sleep(5);
  }
}
