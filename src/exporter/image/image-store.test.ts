import assert from 'node:assert/strict';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import { digestOf } from '../../base/digest.ts';
import { mediaTypes } from '../../oci/descriptor.ts';
import { createImageStore, type StoredImage } from './image-store.ts';

const image = (name: string, content: string): StoredImage => ({
  name,
  target: { mediaType: mediaTypes.ociManifest, digest: digestOf(content), size: 10 },
  blobs: [digestOf(content), digestOf('shared')],
});

test('a name means the image that got it last, and blobs are retained while some image needs them', async () => {
  using database = new DatabaseSync(':memory:');
  const store = createImageStore(database);
  await store.put(image('a:1', 'one'));
  await store.put(image('b:1', 'two'));
  await store.put(image('a:1', 'three'));
  assert.equal((await store.get('a:1'))?.target.digest, digestOf('three'));
  assert.deepEqual(
    (await store.list()).map(({ name }) => name),
    ['a:1', 'b:1'],
  );
  const held = () => ['one', 'two', 'three', 'shared'].filter((text) => store.holds(digestOf(text)));
  assert.deepEqual(held(), ['two', 'three', 'shared']);
  await store.delete('b:1');
  await store.delete('b:1');
  assert.equal(await store.get('b:1'), undefined);
  assert.deepEqual(held(), ['three', 'shared']);
});

test('images are still there when the database is opened again', async () => {
  using database = new DatabaseSync(':memory:');
  await createImageStore(database).put(image('a:1', 'one'));
  const kept = await createImageStore(database).get('a:1');
  assert.deepEqual(kept?.target, image('a:1', 'one').target);
  assert.deepEqual(kept?.blobs, [...image('a:1', 'one').blobs].sort());
});

test('an image is elsewhere once it was pushed, until its name means another one', async () => {
  using database = new DatabaseSync(':memory:');
  const store = createImageStore(database);
  const isElsewhere = async () => (await store.get('a:1'))!.isElsewhere;
  await store.put(image('a:1', 'one'));
  assert.equal(await isElsewhere(), false);
  await store.markPushed('a:1', digestOf('other'));
  assert.equal(await isElsewhere(), false, 'another image was pushed');
  await store.markPushed('a:1', digestOf('one'));
  assert.equal(await isElsewhere(), true);
  await store.put(image('a:1', 'one'));
  assert.equal(await isElsewhere(), true, 'the same image is still there');
  await store.put(image('a:1', 'two'));
  assert.equal(await isElsewhere(), false);
  await store.put(image('a:1', 'one'));
  assert.equal(await isElsewhere(), false, 'whether the registry still has it is not known');
  await store.markPushed('missing:1', digestOf('one'));
  assert.equal(await store.get('missing:1'), undefined);
});

test('blobs that are held outlive their images', async () => {
  using database = new DatabaseSync(':memory:');
  const store = createImageStore(database);
  await store.put(image('a:1', 'one'));
  {
    using _first = store.hold(image('a:1', 'one').blobs);
    {
      using _second = store.hold(image('a:1', 'one').blobs);
      await store.delete('a:1');
    }
    assert.ok(store.holds(digestOf('one')));
  }
  assert.equal(store.holds(digestOf('one')), false);
});
