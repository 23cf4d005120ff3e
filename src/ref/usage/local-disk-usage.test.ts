import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ImmutableRef } from '../ref.ts';
import { blobOptions, describeOnSnapshotters } from '../testing/restartable-store.ts';

describeOnSnapshotters('disk usage', (store) => {
  test('usage tells type, size, parents and use of each record', async () => {
    const base = await store.make({ a: 'x'.repeat(100_000) }, undefined, 'the base');
    const child = await store.make({ b: '2' }, base, 'the child');
    await base.release();
    const records = await store.diskUsage.list();
    const of = (ref: ImmutableRef) => records.find((record) => record.id === ref.id)!;
    assert.equal(records.length, 2);
    assert.ok(of(base).size >= 100_000);
    assert.deepEqual(
      [of(base).inUse, of(base).usageCount, of(base).type, of(base).mutable, of(base).description],
      [true, 1, 'regular', false, 'the base'],
    );
    assert.deepEqual(of(child).parents, [base.id]);
    assert.equal(of(child).lastUsedAt, undefined);
    await child.release();
    const [left] = await store.diskUsage.list(['description~="the base"']);
    assert.equal(left!.inUse, false);
    const sizeBefore = left!.size;
    await store.layerExport.blobs((await store.refStore.get(base.id))!, blobOptions());
    assert.ok((await store.diskUsage.list([`id==${base.id}`]))[0]!.size > sizeBefore, 'blobs count too');
  });
});
