import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ImmutableRef } from '../ref.ts';
import { blobOptions, describeOnSnapshotters } from '../testing/store-rig.ts';

describeOnSnapshotters('disk usage', (rig) => {
  test('usage tells type, size, parents and use of each record', async () => {
    const base = await rig.make({ a: 'x'.repeat(100_000) }, undefined, 'the base');
    const child = await rig.make({ b: '2' }, base, 'the child');
    await base.release();
    const records = await rig.diskUsage.list();
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
    const [left] = await rig.diskUsage.list(['description~="the base"']);
    assert.equal(left!.inUse, false);
    const sizeBefore = left!.size;
    await rig.layerExport.blobs((await rig.refStore.get(base.id))!, blobOptions());
    assert.ok((await rig.diskUsage.list([`id==${base.id}`]))[0]!.size > sizeBefore, 'blobs count too');
  });
});
