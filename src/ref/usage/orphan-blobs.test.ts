import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { writeBlob } from '../../content/content.ts';
import { blobOptions, describeOnSnapshotters } from '../testing/store-rig.ts';

describeOnSnapshotters('orphan blobs', (rig) => {
  test('an image keeps its blobs when their records are pruned, until everything is', async () => {
    const ref = await rig.make({ a: '1' });
    const [blob] = await rig.layerExport.blobs(ref, blobOptions());
    const { digest } = blob!.descriptor;
    rig.images = [{ name: 'app', createdAt: new Date(), blobs: [digest] }];
    assert.deepEqual(
      (await rig.diskUsage.list(['shared'])).map(({ id }) => id),
      [ref.id],
    );
    await ref.release();
    assert.deepEqual(
      (await rig.prune({})).map(({ id }) => id),
      [ref.id],
    );
    const [left] = await rig.diskUsage.list();
    assert.equal(left!.description, 'image app');
    assert.equal(left!.size, 4096);
    assert.ok(await rig.content.stat(digest));
    assert.deepEqual(
      (await rig.prune()).map(({ description }) => description),
      ['image app'],
    );
    assert.equal(await rig.content.stat(digest), undefined);
    assert.deepEqual(await rig.diskUsage.list(), []);
  });

  test('the start deletes the blobs that nobody names', async () => {
    const ref = await rig.make({ a: '1' });
    const [blob] = await rig.layerExport.blobs(ref, blobOptions());
    const lost = await writeBlob(rig.content, createHash('sha256').update('lost').digest());
    const kept = await writeBlob(rig.content, createHash('sha256').update('kept').digest());
    rig.images = [{ name: 'app', createdAt: new Date(), blobs: [kept.digest] }];
    await rig.restart();
    assert.equal(await rig.content.stat(lost.digest), undefined);
    assert.ok(await rig.content.stat(kept.digest));
    assert.ok(await rig.content.stat(blob!.descriptor.digest));
  });
});
