import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { digestOf } from '../../src/base/digest.ts';
import { writeBlob } from '../../src/content/content.ts';
import type { ImmutableRef, MutableRef, WritableTree } from '../../src/ref/ref.ts';

import type { EngineStore } from './engine-store.ts';

const keptImage = 'example.org/kept:1';
const options = { description: 'a test', type: 'regular' } as const;

async function layer(
  { refs }: EngineStore,
  parent: ImmutableRef | undefined,
  text: string,
): Promise<ImmutableRef> {
  const tree = await refs.refStore.createMutable(parent, options);
  await write(tree, text);
  return await tree.commit();
}

/** Without a mount: there are many of these. */
async function write(tree: WritableTree, text: string): Promise<void> {
  const mount = await tree.snapshotMount();
  writeFileSync(path.join(mount.kind === 'bind' ? mount.source : mount.upperDir!, text), text);
}

/** Trees of every kind, with what other rooms note of them, and nothing that holds them. */
export async function fillStore(store: EngineStore): Promise<void> {
  const { refs } = store;
  const base = await layer(store, undefined, 'base');
  const one = await layer(store, base, 'one');
  const two = await layer(store, base, 'two');
  const merged = await refs.refStore.merge([one, two], options);
  const diff = await refs.refStore.diff(base, one, options);
  for (const ref of [merged, diff]) await ref.layerDirs();
  const blob = await writeBlob(store.content, Buffer.from('a manifest'));
  await store.images.put({
    name: keptImage,
    target: { mediaType: 'application/json', ...blob },
    blobs: [blob.digest],
  });
  // A prune takes what a registry has, too.
  await store.images.markPushed(keptImage, blob.digest);
  await writeBlob(store.content, Buffer.from('a document'));
  store.localTrees.put({ key: 'key', ref: one.id, manifest: Buffer.from('m') }, '/dir');
  store.downloads.put(digestOf('request'), {
    ref: two.id,
    digest: digestOf('two'),
    filename: 'two',
    mode: 0o600,
    uid: 0,
    gid: 0,
    modifiedAt: 0,
    etag: 'x',
  });
  for (const ref of [base, one, two, merged, diff]) await ref.release();
  const cache = await refs.cacheDirectories.acquire('cache', undefined, {
    ...options,
    sharing: 'locked',
  });
  await write(cache, 'kept');
  await cache.release();
  await refs.diskUsage.list();
}

export async function pruneAll({ refs }: EngineStore): Promise<void> {
  for await (const _ of refs.diskUsage.prune({ all: true }));
}

/** Each changes memory, tables and directories at once. */
export const storeOperations: Readonly<Record<string, (store: EngineStore) => Promise<void>>> = {
  'a prune of everything': pruneAll,
  'a prune down to some space': async ({ refs }) => {
    for await (const _ of refs.diskUsage.prune({ maxUsedSpace: 8192 }));
  },
  'the release of a tree that was not committed': async ({ refs }) => {
    const tree = await refs.refStore.createMutable(undefined, options);
    await tree.release();
  },
  'the commit of a tree': async (store) => {
    const tree = await store.refs.refStore.createMutable(undefined, options);
    try {
      await (await tree.commit()).release();
    } finally {
      await tree.release();
    }
  },
  'the retirement of a tree': async (store) => {
    const [record] = (await store.refs.diskUsage.list()).filter(({ parents }) => parents.length > 1);
    if (record) store.refs.refStore.retire(record.id);
    await store.refs.diskUsage.list();
  },
  'the removal of an image': async ({ images, refs }) => {
    const image = await images.get(keptImage);
    await images.delete(keptImage);
    await refs.diskUsage.release(image!.blobs);
  },
  'a cache directory that is made': async ({ refs }) => {
    await (
      await refs.cacheDirectories.acquire('new', undefined, { ...options, sharing: 'private' })
    ).release();
  },
  'a cache directory that is dropped': async ({ refs }) => {
    await refs.cacheDirectories.drop('cache', { withParent: false });
    await refs.diskUsage.list();
  },
  'a frozen tree that is built upon': async ({ refs }) => {
    const tree = await refs.refStore.createMutable(undefined, options);
    let ref: ImmutableRef | undefined;
    try {
      ref = await tree.freeze();
      const above = await refs.refStore.createMutable(ref, options);
      await above.release();
    } finally {
      await ref?.release();
      await tree.release();
    }
  },
  'a frozen tree that is written to again': async ({ refs }) => {
    const tree = await refs.refStore.createMutable(undefined, options);
    let ref: ImmutableRef | undefined;
    let again: MutableRef | undefined;
    try {
      ref = await tree.freeze();
      again = await refs.refStore.thaw(ref);
      await (await again!.freeze()).release();
    } finally {
      await again?.release();
      await ref?.release();
      await tree.release();
    }
  },
};
