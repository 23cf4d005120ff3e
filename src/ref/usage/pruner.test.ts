import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import type { ImmutableRef } from '../ref.ts';
import { blobOptions, describeOnSnapshotters } from '../testing/restartable-store.ts';

describeOnSnapshotters('pruning', (store) => {
  test('pruning removes what nothing uses, children first, with snapshots and blobs', async () => {
    const base = await store.make({ a: '1' });
    const child = await store.make({ b: '2' }, base);
    const held = await store.make({ c: '3' });
    const blobs = await store.layerExport.blobs(child, blobOptions());
    await base.release();
    await child.release();
    const gone = await store.prune();
    assert.deepEqual(
      gone.map((record) => record.id),
      [child.id, base.id],
    );
    assert.equal(await store.content.stat(blobs[0]!.descriptor.digest), undefined);
    assert.deepEqual(
      (await Array.fromAsync(store.snapshotter.list())).map((info) => info.id),
      [held.id],
    );
    assert.equal(await store.refStore.get(child.id), undefined);
  });

  test('a blob that two records have stays until both are gone', async () => {
    const one = await store.make({}, undefined, 'one');
    const { blobs, provider } = await store.remoteLayers([{ a: '1' }]);
    const base = await store.layerImport.fromBlobs(blobs, provider, { description: 'image' });
    await base.layerDirs();
    const upper = [blobs[0]!, blobs[0]!];
    const twice = await store.layerImport.fromBlobs(upper, provider, { description: 'image twice' });
    await base.release();
    await twice.release();
    await store.prune({ filters: [`id==${twice.id}`] });
    assert.ok(await store.content.stat(blobs[0]!.descriptor.digest));
    await store.prune();
    assert.equal(await store.content.stat(blobs[0]!.descriptor.digest), undefined);
    await one.release();
  });

  test('pruning keeps internal records unless all are asked for, and obeys filters and age', async () => {
    for (const type of ['regular', 'internal', 'frontend'] as const) {
      const mutable = await store.refStore.createMutable(undefined, { description: type, type });
      await (await mutable.commit()).release();
    }
    assert.deepEqual(await store.prune({ keepDuration: 60_000 }), []);
    assert.deepEqual(await store.prune({ filters: ['description==nothing'] }), []);
    assert.deepEqual(
      (await store.prune({})).map((record) => record.type),
      ['regular'],
    );
    assert.deepEqual(
      (await store.prune({ all: true, filters: ['type==internal'] })).map((record) => record.type),
      ['internal'],
    );
    assert.deepEqual(
      (await store.prune()).map((record) => record.type),
      ['frontend'],
    );
  });

  test('pruning to a size removes the least recently used first, and no more than needed', async () => {
    const refs: ImmutableRef[] = [];
    for (const name of ['first', 'second', 'third']) {
      refs.push(await store.make({ data: name.repeat(100_000) }, undefined, name));
    }
    const [first, second, third] = refs;
    for (const ref of [second!, third!, first!]) {
      await ref.release();
      const released = Date.now();
      while (Date.now() === released) await setImmediate();
    }
    const total = (await store.diskUsage.list()).reduce((sum, record) => sum + record.size, 0);
    assert.deepEqual(await store.prune({ maxUsedSpace: total + 1 }), []);
    assert.deepEqual(await store.prune({ maxUsedSpace: 1, reservedSpace: total + 1 }), []);
    assert.deepEqual(
      (await store.prune({ maxUsedSpace: total - 1 })).map((record) => record.description),
      ['second'],
    );
    assert.equal((await store.prune({ minFreeSpace: Number.MAX_SAFE_INTEGER })).length, 2);
  });
});
