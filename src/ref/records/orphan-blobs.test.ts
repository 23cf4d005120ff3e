import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { writeBlob } from '../../content/content.ts';
import { blobOptions, describeOnSnapshotters } from '../testing/restartable-store.ts';

describeOnSnapshotters('orphan blobs', (store) => {
  test('an image keeps its blobs when their records are pruned, until everything is', async () => {
    const ref = await store.make({ a: '1' });
    const [blob] = await store.layerExport.blobs(ref, blobOptions());
    const { digest } = blob!.descriptor;
    store.images = [{ name: 'app', createdAt: new Date(), blobs: [digest], isElsewhere: true }];
    assert.deepEqual(
      (await store.diskUsage.list(['shared'])).map(({ id }) => id),
      [ref.id],
    );
    await ref.release();
    assert.deepEqual(
      (await store.prune({})).map(({ id }) => id),
      [ref.id],
    );
    const [left] = await store.diskUsage.list();
    assert.equal(left!.description, 'image app');
    assert.equal(left!.size, 4096);
    assert.ok(await store.content.stat(digest));
    assert.deepEqual(
      (await store.prune()).map(({ description }) => description),
      ['image app'],
    );
    assert.equal(await store.content.stat(digest), undefined);
    assert.deepEqual(await store.diskUsage.list(), []);
  });

  test('what is released goes at once, or when nothing is being built any more, unless an image has it by then', async () => {
    const ref = await store.make({ a: '1' });
    const first = await writeBlob(store.content, createHash('sha256').update('first').digest());
    const second = await writeBlob(store.content, createHash('sha256').update('second').digest());
    assert.equal(await store.diskUsage.release([first.digest, second.digest]), 0, 'a build may need it');
    assert.ok(await store.content.stat(first.digest));
    store.images = [{ name: 'app', createdAt: new Date(), blobs: [second.digest], isElsewhere: false }];
    await ref.release();
    await store.diskUsage.list();
    assert.equal(await store.content.stat(first.digest), undefined);
    assert.ok(await store.content.stat(second.digest));
    assert.deepEqual(await store.prune({ all: true }).then((gone) => gone.map(({ id }) => id)), [ref.id]);
    store.images = [];
    assert.equal(await store.diskUsage.release([second.digest]), 32);
  });

  test('the start deletes the blobs that nobody names', async () => {
    const ref = await store.make({ a: '1' });
    const [blob] = await store.layerExport.blobs(ref, blobOptions());
    const lost = await writeBlob(store.content, createHash('sha256').update('lost').digest());
    const kept = await writeBlob(store.content, createHash('sha256').update('kept').digest());
    store.images = [{ name: 'app', createdAt: new Date(), blobs: [kept.digest], isElsewhere: true }];
    await store.restart();
    assert.equal(await store.content.stat(lost.digest), undefined);
    assert.ok(await store.content.stat(kept.digest));
    assert.ok(await store.content.stat(blob!.descriptor.digest));
  });
});
