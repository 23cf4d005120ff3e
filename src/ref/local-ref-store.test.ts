import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { test } from 'node:test';
import { digestOf } from '../base/digest.ts';
import { mediaTypes } from '../oci/descriptor.ts';
import { describeOnSnapshotters, hasCode } from './testing/restartable-store.ts';

describeOnSnapshotters('the ref store', (store) => {
  test('what is committed can be got by its id, built on, and seen by many', async () => {
    const base = await store.make({ a: '1' });
    const child = await store.make({ b: '2' }, base);
    assert.deepEqual(await store.contents(child), { a: '1', b: '2' });
    const again = await store.refStore.get(child.id);
    assert.deepEqual(await store.contents(again!), { a: '1', b: '2' });
    assert.equal(again!.layers().length, 2);
    for (const ref of [base, child, again!]) await ref.release();
  });

  test('a mutable ref released without commit leaves nothing', async () => {
    const mutable = await store.refStore.createMutable(undefined, { description: 'dropped' });
    const plain = await mutable.plainDir();
    await mutable.release();
    await mutable.release();
    assert.equal(existsSync(plain!), false);
    assert.deepEqual(await store.diskUsage.list(), []);
    await assert.rejects(async () => mutable.commit(), hasCode('internal'));
  });

  test('a released handle cannot be used, and releasing twice counts once', async () => {
    const ref = await store.make({ a: '1' });
    const other = ref.clone();
    await ref.release();
    await ref.release();
    assert.throws(() => ref.clone(), hasCode('internal'));
    assert.deepEqual(await store.prune(), []);
    await other.release();
    assert.equal((await store.prune()).length, 1);
  });

  test('the empty tree has no files and no layers, and building on it is building on nothing', async () => {
    const scratch = await store.refStore.scratch();
    assert.deepEqual(await store.contents(scratch), {});
    assert.deepEqual(scratch.layers(), []);
    const mutable = await store.refStore.createMutable(scratch, { description: 'first' });
    assert.notEqual(await mutable.plainDir(), undefined);
    await mutable.release();
    assert.deepEqual(await store.diskUsage.list(), []);
    assert.equal((await store.refStore.get(scratch.id))?.id, scratch.id);
  });

  test('merged layers are those of the parents, in every place', async () => {
    const base = await store.make({ a: '1' });
    const left = await store.make({ b: '2' }, base);
    const right = await store.make({ c: '3' });
    const merged = await store.refStore.merge([left, right, await store.refStore.scratch()], {
      description: 'merged',
    });
    assert.deepEqual(await store.contents(merged), { a: '1', b: '2', c: '3' });
    assert.deepEqual(
      merged.layers().map((layer) => layer.id),
      [...left.layers(), ...right.layers()].map((layer) => layer.id),
    );
    const twice = await store.refStore.merge([merged, left], { description: 'again' });
    assert.deepEqual(await store.contents(twice), { a: '1', b: '2', c: '3' });
    assert.deepEqual(
      twice.layers().map((layer) => layer.id),
      [...merged.layers(), ...left.layers()].map((layer) => layer.id),
    );
    const same = await store.refStore.merge([left], { description: 'one' });
    assert.equal(same.id, left.id);
    assert.equal((await store.refStore.merge([], { description: 'none' })).layers().length, 0);
  });

  test('a merge has as many trees as are named in it, and a limited number of those that merges in it have', async () => {
    // Thousands of records, and no test of crashes.
    store.database.exec('PRAGMA synchronous = OFF');
    const { provider } = await store.remoteLayers([{ b: '2' }]);
    const trees = await Promise.all(
      Array.from({ length: 4_100 }, (_, index) => {
        const digest = digestOf(String(index));
        const descriptor = { mediaType: mediaTypes.ociLayerGzip, digest, size: 1 };
        return store.layerImport.fromBlobs([{ descriptor, diffId: digest }], provider, {
          description: 'image',
        });
      }),
    );
    const all = await store.refStore.merge(trees, { description: 'all' });
    assert.equal(all.layers().length, trees.length);
    await assert.rejects(
      store.refStore.merge([await store.make({ a: '1' }), all], { description: 'one more' }),
      {
        code: 'resource_exhausted',
        message: 'a merge of merges has 4101 trees, more than 4096: one more',
      },
    );
  });

  test('a diff against an ancestor has the layers between', async () => {
    const base = await store.make({ a: '1' });
    const middle = await store.make({ b: '2' }, base);
    const top = await store.make({ c: '3' }, middle);
    const diff = await store.refStore.diff(base, top, { description: 'diff' });
    assert.deepEqual(await store.contents(diff), { b: '2', c: '3' });
    assert.equal(diff.layers().length, 2);
    const unrelated = await store.make({ a: 'other' });
    const other = await store.refStore.diff(unrelated, base, { description: 'diff' });
    assert.deepEqual(await store.contents(other), { a: '1' });
    assert.equal(other.layers().length, 1);
    assert.deepEqual(
      await store.contents(await store.refStore.diff(base, undefined, { description: 'all gone' })),
      {},
    );
  });
});
