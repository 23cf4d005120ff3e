import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import type { ImmutableRef } from '../ref.ts';
import { blobOptions, describeOnSnapshotters } from '../testing/store-rig.ts';

describeOnSnapshotters('pruning', (rig) => {
  test('pruning removes what nothing uses, children first, with snapshots and blobs', async () => {
    const base = await rig.make({ a: '1' });
    const child = await rig.make({ b: '2' }, base);
    const held = await rig.make({ c: '3' });
    const blobs = await rig.layerExport.blobs(child, blobOptions());
    await base.release();
    await child.release();
    const gone = await rig.prune();
    assert.deepEqual(
      gone.map((record) => record.id),
      [child.id, base.id],
    );
    assert.equal(await rig.content.stat(blobs[0]!.descriptor.digest), undefined);
    assert.deepEqual(
      (await Array.fromAsync(rig.snapshotter.list())).map((info) => info.id),
      [held.id],
    );
    assert.equal(await rig.refStore.get(child.id), undefined);
  });

  test('a blob that two records have stays until both are gone', async () => {
    const one = await rig.make({}, undefined, 'one');
    const { blobs, provider } = await rig.remoteLayers([{ a: '1' }]);
    const base = await rig.layerImport.fromBlobs(blobs, provider, { description: 'image' });
    await base.layerDirs();
    const upper = [blobs[0]!, blobs[0]!];
    const twice = await rig.layerImport.fromBlobs(upper, provider, { description: 'image twice' });
    await base.release();
    await twice.release();
    await rig.prune({ filters: [`id==${twice.id}`] });
    assert.ok(await rig.content.stat(blobs[0]!.descriptor.digest));
    await rig.prune();
    assert.equal(await rig.content.stat(blobs[0]!.descriptor.digest), undefined);
    await one.release();
  });

  test('pruning keeps internal records unless all are asked for, and obeys filters and age', async () => {
    for (const type of ['regular', 'internal', 'frontend'] as const) {
      const mutable = await rig.refStore.createMutable(undefined, { description: type, type });
      await (await mutable.commit()).release();
    }
    assert.deepEqual(await rig.prune({ keepDuration: 60_000 }), []);
    assert.deepEqual(await rig.prune({ filters: ['description==nothing'] }), []);
    assert.deepEqual(
      (await rig.prune({})).map((record) => record.type),
      ['regular'],
    );
    assert.deepEqual(
      (await rig.prune({ all: true, filters: ['type==internal'] })).map((record) => record.type),
      ['internal'],
    );
    assert.deepEqual(
      (await rig.prune()).map((record) => record.type),
      ['frontend'],
    );
  });

  test('pruning to a size removes the least recently used first, and no more than needed', async () => {
    const refs: ImmutableRef[] = [];
    for (const name of ['first', 'second', 'third']) {
      refs.push(await rig.make({ data: name.repeat(100_000) }, undefined, name));
    }
    const [first, second, third] = refs;
    for (const ref of [second!, third!, first!]) {
      await ref.release();
      const released = Date.now();
      while (Date.now() === released) await setImmediate();
    }
    const total = (await rig.diskUsage.list()).reduce((sum, record) => sum + record.size, 0);
    assert.deepEqual(await rig.prune({ maxUsedSpace: total + 1 }), []);
    assert.deepEqual(await rig.prune({ maxUsedSpace: 1, reservedSpace: total + 1 }), []);
    assert.deepEqual(
      (await rig.prune({ maxUsedSpace: total - 1 })).map((record) => record.description),
      ['second'],
    );
    assert.equal((await rig.prune({ minFreeSpace: Number.MAX_SAFE_INTEGER })).length, 2);
  });
});
