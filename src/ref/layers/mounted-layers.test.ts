import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { existsSync, rmSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { beforeEach, test } from 'node:test';
import { mountPointsBelow } from '../../linux/mount-table.ts';
import { openOverlaySnapshotter } from '../../snapshot/overlay-snapshotter.ts';
import { describeOnSnapshotters, type RestartableStore } from '../testing/restartable-store.ts';

const description = 'image';
const text = (size: number) => randomBytes(size / 2).toString('hex');
const trees: readonly Readonly<Record<string, string>>[] = [
  { 'etc/passwd': 'root:x:0:0::/:', large: text(200_000) },
  { small: 'small', other: text(200_000) },
];
const files = { ...trees[0]!, ...trees[1]! };

function layersOf(store: RestartableStore) {
  return store.remoteLayers(trees, { compression: 'estargz' });
}

describeOnSnapshotters(
  'mounted layers',
  (store) => {
    beforeEach(async () => {
      store.mountsLayers = true;
      await store.restart();
    });

    test('a view for this process has all files, and one for threads comes part by part', async () => {
      const { blobs, reading, fetched, parts } = await layersOf(store);
      const ref = await store.layerImport.fromBlobs(blobs, reading, { description });
      {
        await using view = await ref.mountPartly();
        assert.equal(mountPointsBelow(path.join(store.dir, 'snapshots')).length, 2);
        const before = parts.bytes;
        const small = path.join(view.path, 'small');
        await assert.rejects(readFile(small), /system error -35/);
        assert.equal(parts.bytes, before, 'who may not wait fetches nothing');
        await view.partlyHere!.bring([{ path: small }]);
        assert.equal(await readFile(small, 'utf8'), 'small');
        assert.ok(parts.bytes - before < 10_000);
        assert.deepEqual(fetched, []);
      }
      assert.deepEqual(await store.contents(ref), files);
      assert.equal(fetched.length, 2);
      await using view = await ref.mountPartly();
      assert.equal(view.partlyHere, undefined);
    });

    test('after a restart a tree can be used if its layers came whole, or somebody has them: who names the image again', async () => {
      const { blobs, reading } = await layersOf(store);
      const whole = await store.layerImport.fromBlobs(blobs.slice(0, 1), reading, { description });
      assert.equal((await store.contents(whole)).large, files.large);
      const ref = await store.layerImport.fromBlobs(blobs, reading, { description });
      {
        await using view = await ref.mountPartly();
        assert.ok(view.partlyHere);
      }
      const ids = [whole.id, ref.id] as const;
      await store.restart();
      assert.ok(await store.refStore.get(ids[0]));
      assert.equal(await store.refStore.get(ids[1]), undefined);
      store.layerImport.offer(blobs, reading);
      const again = (await store.refStore.get(ids[1]))!;
      assert.deepEqual(await store.contents(again), files);
    });

    test('merges and differences of mounted layers have their files, and what is built on them too', async () => {
      const { blobs, reading } = await layersOf(store);
      const ref = await store.layerImport.fromBlobs(blobs, reading, { description });
      const below = await store.layerImport.fromBlobs(blobs.slice(0, 1), reading, { description });
      const upper = await store.refStore.diff(below, ref, { description: 'diff' });
      assert.deepEqual(await store.contents(upper), trees[1]);
      const made = await store.make({ 'own/file': 'own' });
      const merged = await store.refStore.merge([made, upper, below], { description: 'merge' });
      assert.deepEqual(await store.contents(merged), { 'own/file': 'own', ...files });
      const child = await store.make({ small: 'changed' }, ref);
      assert.deepEqual(await store.contents(child), { ...files, small: 'changed' });
    });

    test('layers whose skeletons are damaged go at the next start, with what was built on them', async () => {
      const { blobs, reading } = await layersOf(store);
      const ref = await store.layerImport.fromBlobs(blobs, reading, { description });
      const child = await store.make({ own: 'own' }, ref);
      const [first] = await ref.layerDirs();
      const { id } = child;
      await store.stop();
      rmSync(path.join(path.dirname(first!), 'lazy', 'layer.json'));
      await store.start();
      assert.equal(await store.refStore.get(id), undefined);
      assert.deepEqual(mountPointsBelow(path.join(store.dir, 'snapshots')), []);
      assert.ok(!existsSync(path.dirname(first!)));
      const again = await store.layerImport.fromBlobs(blobs, reading, { description });
      assert.deepEqual(await store.contents(again), files);
    });

    test('layers in other formats, and those of providers that send no parts, are unpacked', async () => {
      const gzip = await store.remoteLayers([{ a: '1' }]);
      const first = await store.layerImport.fromBlobs(gzip.blobs, gzip.reading, { description });
      assert.deepEqual(await store.contents(first), { a: '1' });
      const { blobs, provider } = await layersOf(store);
      const second = await store.layerImport.fromBlobs(blobs, provider, { description });
      assert.deepEqual(await store.contents(second), files);
      assert.deepEqual(mountPointsBelow(path.join(store.dir, 'snapshots')), []);
    });
  },
  [openOverlaySnapshotter],
);
