import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { after, afterEach, before, beforeEach, describe, test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { type Digest, digestOf } from '../base/digest.ts';
import { KilnError } from '../base/errors.ts';
import { type ProgressWriter, silentProgress } from '../base/progress.ts';
import { ThreadPool } from '../base/threads/thread-pool.ts';
import { type ContentStore, writeBlob } from '../content/content.ts';
import { openLocalContentStore } from '../content/local-content-store.ts';
import { createLayerDiffer } from '../layer-blob/layer-differ.ts';
import { mountPointsBelow } from '../linux/mount-table.ts';
import { mediaTypes } from '../oci/descriptor.ts';
import { openNativeSnapshotter } from '../snapshot/native-snapshotter.ts';
import { openOverlaySnapshotter } from '../snapshot/overlay-snapshotter.ts';
import { type Snapshotter, snapshotId } from '../snapshot/snapshot.ts';
import type {
  BlobOptions,
  BlobProvider,
  ImmutableRef,
  LayerBlob,
  NamedImage,
  RefId,
  RefStore,
  UsageRecord,
} from './ref.ts';
import { openRefStore } from './ref-store.ts';
import type { KilledStoreOutput } from './testing/killed-ref-store.ts';

for (const openSnapshotter of [openOverlaySnapshotter, openNativeSnapshotter]) {
  describe(`the ref store on ${openSnapshotter === openNativeSnapshotter ? 'plain copies' : 'overlayfs'}`, () => {
    let dir: string;
    let pool: ThreadPool;
    let database: DatabaseSync;
    let snapshotter: Snapshotter;
    let content: ContentStore;
    let store: RefStore;
    let images: readonly NamedImage[];
    const removed: RefId[] = [];

    const start = async () => {
      database = new DatabaseSync(path.join(dir, 'state.db'));
      snapshotter = openSnapshotter({ root: path.join(dir, 'snapshots'), database, pool });
      content = await openLocalContentStore(path.join(dir, 'content'));
      const differ = createLayerDiffer({ pool });
      store = await openRefStore({
        root: path.join(dir, 'refs'),
        database,
        snapshotter,
        content,
        differ,
        pool,
        patience: 50,
        onRemoved: (id) => removed.push(id),
        images: {
          list: async () => images,
          delete: async (name) => {
            images = images.filter((image) => image.name !== name);
          },
          holds: (digest) => images.some(({ blobs }) => blobs.includes(digest)),
        },
      });
    };
    const stop = async () => {
      await store[Symbol.asyncDispose]();
      await snapshotter[Symbol.asyncDispose]();
      database.close();
    };
    const restart = async () => {
      await stop();
      await start();
    };

    before(() => {
      pool = new ThreadPool({ size: 2 });
    });
    after(() => pool[Symbol.asyncDispose]());
    beforeEach(async () => {
      dir = mkdtempSync(path.join(tmpdir(), 'kiln-refs-'));
      images = [];
      await start();
    });
    afterEach(async () => {
      await stop();
      assert.deepEqual(mountPointsBelow(dir), []);
      rmSync(dir, { recursive: true, force: true });
    });

    const put = (root: string, files: Record<string, string>) => {
      for (const [name, data] of Object.entries(files)) {
        mkdirSync(path.dirname(path.join(root, name)), { recursive: true });
        writeFileSync(path.join(root, name), data);
      }
    };
    const make = async (
      files: Record<string, string>,
      parent?: ImmutableRef,
      description = 'made',
    ): Promise<ImmutableRef> => {
      const mutable = await store.createMutable(parent, { description });
      await using view = await mutable.mount();
      put(view.path, files);
      return await mutable.commit();
    };
    const contents = async (ref: ImmutableRef): Promise<Record<string, string>> => {
      await using view = await ref.mount();
      return Object.fromEntries(
        readdirSync(view.path, { recursive: true, withFileTypes: true })
          .filter((entry) => entry.isFile())
          .map((entry) => path.relative(view.path, path.join(entry.parentPath, entry.name)))
          .sort()
          .map((name) => [name, readFileSync(path.join(view.path, name), 'utf8')]),
      );
    };
    const blobOptions = (options: Partial<BlobOptions> = {}): BlobOptions => ({
      compression: 'gzip',
      mediaTypes: 'oci',
      signal: new AbortController().signal,
      progress: silentProgress,
      ...options,
    });
    const pruned = async (options: Parameters<RefStore['prune']>[0] = { all: true }) =>
      (await Array.fromAsync(store.prune(options))) as UsageRecord[];
    const hasCode = (code: string) => (error: unknown) => error instanceof KilnError && error.code === code;

    /** Layers as a registry would have them: blobs kept aside, brought by a provider that counts. */
    const remoteLayers = async (trees: readonly Record<string, string>[]) => {
      let ref: ImmutableRef | undefined;
      for (const files of trees) {
        const next = await make(files, ref);
        await ref?.release();
        ref = next;
      }
      const blobs = await store.blobs(ref!, blobOptions());
      const data = new Map<Digest, Uint8Array>();
      for (const { descriptor } of blobs)
        data.set(descriptor.digest, await content.readAll(descriptor.digest));
      await ref!.release();
      await pruned();
      const fetched: Digest[] = [];
      const provider: BlobProvider = {
        async fetch(descriptor) {
          fetched.push(descriptor.digest);
          await writeBlob(content, data.get(descriptor.digest)!, { digest: descriptor.digest });
        },
      };
      return { blobs: blobs as LayerBlob[], provider, fetched };
    };

    test('what is committed can be got by its id, built on, and seen by many', async () => {
      const base = await make({ a: '1' });
      const child = await make({ b: '2' }, base);
      assert.deepEqual(await contents(child), { a: '1', b: '2' });
      const again = await store.get(child.id);
      assert.deepEqual(await contents(again!), { a: '1', b: '2' });
      assert.equal(again!.layers().length, 2);
      for (const ref of [base, child, again!]) await ref.release();
    });

    test('readers of one tree share a mount, and the last one ends it', async () => {
      const child = await make({ b: '2' }, await make({ a: '1' }));
      const views = await Promise.all([child.mount(), child.mount(), child.mount()]);
      assert.equal(new Set(views.map((view) => view.path)).size, 1);
      assert.ok(mountPointsBelow(dir).length <= 1);
      await views[0]![Symbol.asyncDispose]();
      await views[0]![Symbol.asyncDispose]();
      assert.deepEqual(readdirSync(views[1]!.path).sort(), ['a', 'b']);
      await views[1]![Symbol.asyncDispose]();
      await views[2]![Symbol.asyncDispose]();
      assert.deepEqual(mountPointsBelow(dir), []);
    });

    test('a tree without a parent is written and read without a mount', async () => {
      const mutable = await store.createMutable(undefined, { description: 'plain' });
      const plain = await mutable.plainDir();
      put(plain!, { a: '1' });
      const ref = await mutable.commit();
      await using view = await ref.mount();
      assert.equal(view.path, plain);
      assert.deepEqual(mountPointsBelow(dir), []);
    });

    test('a mutable ref released without commit leaves nothing', async () => {
      const mutable = await store.createMutable(undefined, { description: 'dropped' });
      const plain = await mutable.plainDir();
      await mutable.release();
      await mutable.release();
      assert.equal(existsSync(plain!), false);
      assert.deepEqual(await store.usage(), []);
      await assert.rejects(async () => mutable.commit(), hasCode('internal'));
    });

    test('a released handle cannot be used, and releasing twice counts once', async () => {
      const ref = await make({ a: '1' });
      const other = ref.clone();
      await ref.release();
      await ref.release();
      assert.throws(() => ref.clone(), hasCode('internal'));
      assert.deepEqual(await pruned(), []);
      await other.release();
      assert.equal((await pruned()).length, 1);
    });

    test('the empty tree has no files and no layers, and building on it is building on nothing', async () => {
      const scratch = await store.scratch();
      assert.deepEqual(await contents(scratch), {});
      assert.deepEqual(scratch.layers(), []);
      const mutable = await store.createMutable(scratch, { description: 'first' });
      assert.notEqual(await mutable.plainDir(), undefined);
      await mutable.release();
      assert.deepEqual(await store.usage(), []);
      assert.equal((await store.get(scratch.id))?.id, scratch.id);
    });

    test('merged layers are those of the parents, in every place', async () => {
      const base = await make({ a: '1' });
      const left = await make({ b: '2' }, base);
      const right = await make({ c: '3' });
      const merged = await store.merge([left, right, await store.scratch()], { description: 'merged' });
      assert.deepEqual(await contents(merged), { a: '1', b: '2', c: '3' });
      assert.deepEqual(
        merged.layers().map((layer) => layer.id),
        [...left.layers(), ...right.layers()].map((layer) => layer.id),
      );
      const twice = await store.merge([merged, left], { description: 'again' });
      assert.deepEqual(await contents(twice), { a: '1', b: '2', c: '3' });
      assert.deepEqual(
        twice.layers().map((layer) => layer.id),
        [...merged.layers(), ...left.layers()].map((layer) => layer.id),
      );
      const same = await store.merge([left], { description: 'one' });
      assert.equal(same.id, left.id);
      assert.equal((await store.merge([], { description: 'none' })).layers().length, 0);
    });

    test('a merge has as many trees as are named in it, and a limited number of those that merges in it have', async () => {
      // Thousands of records, and no test of crashes.
      database.exec('PRAGMA synchronous = OFF');
      const { provider } = await remoteLayers([{ b: '2' }]);
      const trees = await Promise.all(
        Array.from({ length: 4_100 }, (_, index) => {
          const digest = digestOf(String(index));
          const descriptor = { mediaType: mediaTypes.ociLayerGzip, digest, size: 1 };
          return store.fromBlobs([{ descriptor, diffId: digest }], provider, { description: 'image' });
        }),
      );
      const all = await store.merge(trees, { description: 'all' });
      assert.equal(all.layers().length, trees.length);
      await assert.rejects(store.merge([await make({ a: '1' }), all], { description: 'one more' }), {
        code: 'resource_exhausted',
        message: 'a merge of merges has 4101 trees, more than 4096: one more',
      });
    });

    test('a diff against an ancestor has the layers between', async () => {
      const base = await make({ a: '1' });
      const middle = await make({ b: '2' }, base);
      const top = await make({ c: '3' }, middle);
      const diff = await store.diff(base, top, { description: 'diff' });
      assert.deepEqual(await contents(diff), { b: '2', c: '3' });
      assert.equal(diff.layers().length, 2);
      const unrelated = await make({ a: 'other' });
      const other = await store.diff(unrelated, base, { description: 'diff' });
      assert.deepEqual(await contents(other), { a: '1' });
      assert.equal(other.layers().length, 1);
      assert.deepEqual(await contents(await store.diff(base, undefined, { description: 'all gone' })), {});
    });

    test('blobs are made once, remembered, and belong to their layers', async () => {
      const base = await make({ a: '1' });
      const ref = await make({ b: '2' }, base);
      const [one, two] = await Promise.all([
        store.blobs(ref, blobOptions()),
        store.blobs(ref, blobOptions()),
      ]);
      assert.deepEqual(one, two);
      assert.equal(one.length, 2);
      assert.equal(one[0]!.descriptor.mediaType, mediaTypes.ociLayerGzip);
      assert.deepEqual((await store.blobs(base, blobOptions()))[0]!.descriptor, one[0]!.descriptor);
      const docker = await store.blobs(ref, blobOptions({ mediaTypes: 'docker' }));
      assert.equal(docker[0]!.descriptor.mediaType, mediaTypes.dockerLayerGzip);
      assert.equal(docker[0]!.descriptor.digest, one[0]!.descriptor.digest);
      const kept = await store.blobs(ref, blobOptions({ compression: 'zstd' }));
      assert.equal(kept[0]!.descriptor.digest, one[0]!.descriptor.digest);
      const forced = await store.blobs(ref, blobOptions({ compression: 'zstd', force: true }));
      assert.equal(forced[0]!.descriptor.mediaType, mediaTypes.ociLayerZstd);
      assert.equal(forced[0]!.diffId, one[0]!.diffId);
    });

    test('file times are clamped only in blobs that are asked with an epoch', async () => {
      const ref = await make({ a: '1' });
      const plain = await store.blobs(ref, blobOptions());
      const clamped = await store.blobs(ref, blobOptions({ epoch: 1_000_000_000 }));
      assert.notEqual(clamped[0]!.diffId, plain[0]!.diffId);
      assert.deepEqual(await store.blobs(ref, blobOptions({ epoch: 1_000_000_000 })), clamped);
      assert.deepEqual(clamped[0]!.descriptor.annotations, { 'buildkit/rewritten-timestamp': '1000000000' });
      assert.deepEqual(await store.blobs(ref, blobOptions()), plain);
    });

    test('lazy layers are brought when their files are needed, once for all who ask', async () => {
      const { blobs, provider, fetched } = await remoteLayers([{ a: '1' }, { b: '2' }, { c: '3' }]);
      const ref = await store.fromBlobs(blobs, provider, { description: 'image' });
      const same = await store.fromBlobs(blobs, provider, { description: 'image' });
      const shorter = await store.fromBlobs(blobs.slice(0, 2), provider, { description: 'base' });
      assert.equal(ref.id, same.id);
      assert.equal(shorter.layers().at(-1)!.id, ref.layers()[1]!.id);
      assert.deepEqual(fetched, []);
      assert.deepEqual(await Promise.all([contents(ref), contents(same), contents(shorter)]), [
        { a: '1', b: '2', c: '3' },
        { a: '1', b: '2', c: '3' },
        { a: '1', b: '2' },
      ]);
      assert.deepEqual(fetched.toSorted(), blobs.map((blob) => blob.descriptor.digest).sort());
    });

    test('asking for the blobs of lazy layers brings nothing, until one is ensured', async () => {
      const { blobs, provider, fetched } = await remoteLayers([{ a: '1' }, { b: '2' }]);
      const base = await store.fromBlobs(blobs, provider, { description: 'image' });
      const found = await store.blobs(base, blobOptions({ epoch: 5 }));
      assert.deepEqual(
        found.map((blob) => blob.descriptor.digest),
        blobs.map((blob) => blob.descriptor.digest),
      );
      assert.deepEqual(fetched, []);
      await store.ensureBlob(base, found[1]!, {});
      await store.ensureBlob(base, found[1]!, {});
      assert.deepEqual(fetched, [blobs[1]!.descriptor.digest]);
    });

    test('unpacking shows as progress to everyone who waits for it', async () => {
      const { blobs, provider } = await remoteLayers([{ a: '1' }]);
      const ref = await store.fromBlobs(blobs, provider, { description: 'image' });
      const seen: string[][] = [[], []];
      const writer = (index: number): ProgressWriter => ({
        ...silentProgress,
        status: ({ id, completed }) => seen[index]!.push(`${id}${completed ? ' done' : ''}`),
      });
      await Promise.all([ref.snapshot({ progress: writer(0) }), ref.snapshot({ progress: writer(1) })]);
      const id = `extracting ${blobs[0]!.descriptor.digest}`;
      assert.deepEqual(seen, [
        [id, `${id} done`],
        [id, `${id} done`],
      ]);
    });

    test('one who stops waiting for a layer does not stop the others', async () => {
      const { blobs, provider } = await remoteLayers([{ a: '1' }]);
      const gate = Promise.withResolvers<void>();
      const asked = Promise.withResolvers<void>();
      const slow: BlobProvider = {
        async fetch(descriptor, context) {
          asked.resolve();
          await gate.promise;
          await provider.fetch(descriptor, context);
        },
      };
      const ref = await store.fromBlobs(blobs, slow, { description: 'image' });
      const impatient = new AbortController();
      const one = ref.snapshot({ signal: impatient.signal });
      const two = ref.snapshot();
      await asked.promise;
      impatient.abort();
      await assert.rejects(one, hasCode('canceled'));
      gate.resolve();
      assert.equal(await two, ref.id);
      assert.deepEqual(await contents(ref), { a: '1' });
    });

    test('a layer comes from another who has it when the one named last stalls, or brings something else', {
      timeout: 60_000,
    }, async () => {
      const { blobs, provider } = await remoteLayers([{ a: '1' }, { b: '2' }]);
      const hostile: BlobProvider = {
        async fetch({ digest }, { signal }) {
          if (digest === blobs[0]!.descriptor.digest)
            await new Promise((_, reject) => signal.addEventListener('abort', reject));
          else await writeBlob(content, Buffer.from('something else'), { digest });
        },
      };
      const ref = await store.fromBlobs(blobs, provider, { description: 'image' });
      const claimed = await store.fromBlobs(blobs, hostile, { description: 'the same blobs' });
      assert.deepEqual(await contents(ref), { a: '1', b: '2' });
      assert.equal(claimed.id, ref.id);
    });

    test('a layer that nobody waits for any more is not brought, and can be brought later', async () => {
      const { blobs, provider } = await remoteLayers([{ a: '1' }]);
      const asked = Promise.withResolvers<void>();
      const stopped = Promise.withResolvers<void>();
      const endless: BlobProvider = {
        fetch: (_, { signal }) =>
          new Promise((_resolve, reject) => {
            asked.resolve();
            signal.addEventListener('abort', () => {
              stopped.resolve();
              reject(signal.reason);
            });
          }),
      };
      const ref = await store.fromBlobs(blobs, endless, { description: 'image' });
      const impatient = new AbortController();
      const waiting = ref.snapshot({ signal: impatient.signal });
      await asked.promise;
      impatient.abort();
      await assert.rejects(waiting, hasCode('canceled'));
      await stopped.promise;
      const again = await store.fromBlobs(blobs, provider, { description: 'image' });
      assert.deepEqual(await contents(again), { a: '1' });
    });

    test('a layer that is not what the image says is refused and leaves nothing', async () => {
      const { blobs, provider } = await remoteLayers([{ a: '1' }]);
      const wrong = [{ ...blobs[0]!, diffId: digestOf('something else') }];
      const ref = await store.fromBlobs(wrong, provider, { description: 'image' });
      await assert.rejects(ref.mount(), hasCode('data_loss'));
      assert.equal(await snapshotter.stat(snapshotId(ref.id)), undefined);
    });

    test('layers that are only said to be the same are not shared before it is known', async () => {
      const { blobs, provider } = await remoteLayers([{ a: '1' }, { b: '2' }]);
      const other = await remoteLayers([{ a: 'backdoor' }]);
      const forged = [{ ...other.blobs[0]!, diffId: blobs[0]!.diffId }, blobs[1]!];
      const claiming = await store.fromBlobs(forged, other.provider, { description: 'forged' });
      const genuine = await store.fromBlobs(blobs, provider, { description: 'image' });
      assert.notEqual(genuine.id, claiming.id);
      assert.deepEqual(await contents(genuine), { a: '1', b: '2' });
      const later = await store.fromBlobs(forged, other.provider, { description: 'forged' });
      assert.equal(later.id, genuine.id, 'what is unpacked is what everybody means by its diff ids');
      assert.deepEqual(
        later.layers()[0]!.blobs,
        [blobs[0]],
        'the blob it came in is not known to be the same',
      );
      await claiming.release();
      for (const ref of [genuine, later]) await ref.release();
      await restart();
      const again = await store.fromBlobs(forged, other.provider, { description: 'forged' });
      assert.equal(again.id, genuine.id);
    });

    test('a layer that turned out to be something else is given to nobody any more', async () => {
      const { blobs, provider } = await remoteLayers([{ a: '1' }]);
      const wrong = [{ ...blobs[0]!, diffId: digestOf('something else') }];
      const ref = await store.fromBlobs(wrong, provider, { description: 'image' });
      await assert.rejects(ref.mount(), hasCode('data_loss'));
      assert.equal(await store.get(ref.id), undefined);
      const next = await store.fromBlobs(wrong, provider, { description: 'image' });
      assert.notEqual(next.id, ref.id);
      await ref.release();
      assert.ok((await store.usage()).every(({ id }) => id !== ref.id));
    });

    test('a claim about a layer is tested when it is compressed anew, too', async () => {
      const { blobs, provider } = await remoteLayers([{ a: '1' }]);
      const wrong = [{ ...blobs[0]!, diffId: digestOf('something else') }];
      const ref = await store.fromBlobs(wrong, provider, { description: 'image' });
      const options = blobOptions({ compression: 'zstd', force: true });
      await assert.rejects(store.blobs(ref, options), hasCode('data_loss'));
    });

    test('a lazy ref that nobody can bring any more is not found', async () => {
      const { blobs, provider } = await remoteLayers([{ a: '1' }]);
      const ref = await store.fromBlobs(blobs, provider, { description: 'image' });
      await ref.release();
      await restart();
      assert.equal(await store.get(ref.id), undefined);
      const again = await store.fromBlobs(blobs, provider, { description: 'image' });
      assert.equal(again.id, ref.id);
      assert.deepEqual(await contents(again), { a: '1' });
    });

    test('shared holders see one tree', async () => {
      const options = { description: 'cache', type: 'exec.cachemount', sharing: 'shared' } as const;
      const [one, two] = await Promise.all([
        store.acquireCacheDirectory('key', undefined, options),
        store.acquireCacheDirectory('key', undefined, options),
      ]);
      assert.equal(one.id, two.id);
      assert.deepEqual([one.fresh, two.fresh].sort(), [false, true]);
      await using view = await one.mount();
      put(view.path, { a: '1' });
      await using other = await two.mount();
      assert.deepEqual(readdirSync(other.path), ['a']);
      await one.release();
      await two.release();
    });

    test('private holders get trees of their own, and later ones find them again', async () => {
      const options = { description: 'cache', type: 'exec.cachemount', sharing: 'private' } as const;
      const one = await store.acquireCacheDirectory('key', undefined, options);
      const two = await store.acquireCacheDirectory('key', undefined, options);
      assert.notEqual(one.id, two.id);
      await one.release();
      const three = await store.acquireCacheDirectory('key', undefined, options);
      assert.deepEqual([three.id, three.fresh], [one.id, false]);
      await two.release();
      await three.release();
    });

    test('locked holders come one after the other, and one who gives up is passed over', async () => {
      const options = { description: 'cache', type: 'exec.cachemount', sharing: 'locked' } as const;
      const one = await store.acquireCacheDirectory('key', undefined, options);
      const impatient = new AbortController();
      const order: string[] = [];
      const two = store.acquireCacheDirectory('key', undefined, { ...options, signal: impatient.signal });
      const three = store.acquireCacheDirectory('key', undefined, options).then((held) => {
        order.push('three');
        return held;
      });
      impatient.abort();
      await assert.rejects(two, hasCode('canceled'));
      order.push('released');
      await one.release();
      const held = await three;
      assert.deepEqual([held.id, held.fresh], [one.id, false]);
      assert.deepEqual(order, ['released', 'three']);
      await held.release();
    });

    test('a named tree starts as its parent, counts per parent, and survives a restart', async () => {
      const parent = await make({ seed: '1' });
      const options = { description: 'cache', type: 'exec.cachemount', sharing: 'shared' } as const;
      const named = await store.acquireCacheDirectory('key', parent, options);
      {
        await using view = await named.mount();
        put(view.path, { more: '2' });
      }
      const without = await store.acquireCacheDirectory('key', undefined, options);
      assert.notEqual(without.id, named.id);
      await restart();
      const again = await store.acquireCacheDirectory('key', (await store.get(parent.id))!, options);
      assert.deepEqual([again.id, again.fresh], [named.id, false]);
      await using view = await again.mount();
      assert.deepEqual(readdirSync(view.path).sort(), ['more', 'seed']);
    });

    test('a dropped name gives a new tree to whoever comes next or waits, and the old one goes with its holder', async () => {
      const options = { description: 'cache', type: 'exec.cachemount', sharing: 'locked' } as const;
      const parent = await make({ seed: '1' });
      const onParent = await store.acquireCacheDirectory('key', parent, options);
      const old = await store.acquireCacheDirectory('key', undefined, options);
      const waiting = store.acquireCacheDirectory('key', undefined, options);
      await store.dropCacheDirectories('key', { withParent: false });
      const next = await waiting;
      assert.notEqual(next.id, old.id);
      assert.equal(next.fresh, true);
      const ids = async () => (await store.usage()).map(({ id }) => id);
      assert.ok((await ids()).includes(old.id));
      await old.release();
      assert.ok(!(await ids()).includes(old.id));
      await next.release();
      await store.dropCacheDirectories('key', { withParent: false });
      assert.ok(!(await ids()).includes(next.id));

      await onParent.release();
      const kept = await store.acquireCacheDirectory('key', parent, options);
      assert.equal(kept.id, onParent.id);
      await kept.release();
      await store.dropCacheDirectories('key', { withParent: true });
      assert.ok(!(await ids()).includes(onParent.id));
    });

    const ids = async () => (await store.usage()).map(({ id }) => id);

    async function frozen(files: Readonly<Record<string, string>>): Promise<ImmutableRef> {
      const mutable = await store.createMutable(undefined, { description: 'context', type: 'source.local' });
      put((await mutable.plainDir())!, files);
      return await mutable.freeze();
    }

    test('a frozen tree that nobody else holds is written to in place, and has another id then', async () => {
      const first = await frozen({ a: '1' });
      assert.deepEqual(await contents(first), { a: '1' });
      const other = first.clone();
      assert.equal(await store.thaw(first), undefined, 'somebody else holds it');
      assert.deepEqual(await contents(first), { a: '1' });
      await other.release();
      const mutable = await store.thaw(first);
      assert.ok(mutable);
      assert.deepEqual([removed.includes(first.id), await store.get(first.id)], [true, undefined]);
      put((await mutable.plainDir())!, { b: '2' });
      const second = await mutable.freeze();
      assert.notEqual(second.id, first.id);
      assert.deepEqual(await contents(second), { a: '1', b: '2' });
      await second.release();
      const kept = await store.get(second.id);
      assert.equal(kept?.id, second.id);
      const given = await store.thaw(kept!);
      await given!.release();
      assert.deepEqual(await ids(), [], 'what was not frozen again is gone');
    });

    test('a frozen tree that something is built on, or made of, stays as it is', async () => {
      const below = await frozen({ a: '1' });
      const child = await make({ b: '2' }, below);
      assert.equal(await store.thaw(below), undefined);
      assert.deepEqual(await contents(child), { a: '1', b: '2' });
      assert.equal((await store.get(below.id))?.id, below.id);
      const exported = await frozen({ c: '3' });
      const [layer] = await store.blobs(exported, blobOptions());
      assert.ok(layer);
      assert.equal(await store.thaw(exported), undefined);
    });

    test('a frozen tree survives a restart, and one that was being written to does not', async () => {
      const kept = await frozen({ a: '1' });
      const lost = (await store.thaw(await frozen({ b: '2' })))!;
      await restart();
      assert.deepEqual(await contents((await store.get(kept.id))!), { a: '1' });
      assert.equal((await ids()).includes(lost.id), false);
    });

    test('what is retired while it is held goes when it is released', async () => {
      const ref = await frozen({ a: '1' });
      store.retire(ref.id);
      assert.deepEqual(await contents(ref), { a: '1' });
      await ref.release();
      assert.deepEqual(await ids(), []);
    });

    test('usage tells type, size, parents and use of each record', async () => {
      const base = await make({ a: 'x'.repeat(100_000) }, undefined, 'the base');
      const child = await make({ b: '2' }, base, 'the child');
      await base.release();
      const records = await store.usage();
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
      const [left] = await store.usage(['description~="the base"']);
      assert.equal(left!.inUse, false);
      const sizeBefore = left!.size;
      await store.blobs((await store.get(base.id))!, blobOptions());
      assert.ok((await store.usage([`id==${base.id}`]))[0]!.size > sizeBefore, 'blobs count too');
    });

    test('pruning removes what nothing uses, children first, with snapshots and blobs', async () => {
      const base = await make({ a: '1' });
      const child = await make({ b: '2' }, base);
      const held = await make({ c: '3' });
      const blobs = await store.blobs(child, blobOptions());
      await base.release();
      await child.release();
      const gone = await pruned();
      assert.deepEqual(
        gone.map((record) => record.id),
        [child.id, base.id],
      );
      assert.equal(await content.stat(blobs[0]!.descriptor.digest), undefined);
      assert.deepEqual(
        (await Array.fromAsync(snapshotter.list())).map((info) => info.id),
        [held.id],
      );
      assert.equal(await store.get(child.id), undefined);
    });

    test('a blob that two records have stays until both are gone', async () => {
      const one = await make({}, undefined, 'one');
      const { blobs, provider } = await remoteLayers([{ a: '1' }]);
      const base = await store.fromBlobs(blobs, provider, { description: 'image' });
      await base.snapshot();
      const upper = [blobs[0]!, blobs[0]!];
      const twice = await store.fromBlobs(upper, provider, { description: 'image twice' });
      await base.release();
      await twice.release();
      await pruned({ filters: [`id==${twice.id}`] });
      assert.ok(await content.stat(blobs[0]!.descriptor.digest));
      await pruned();
      assert.equal(await content.stat(blobs[0]!.descriptor.digest), undefined);
      await one.release();
    });

    test('pruning keeps internal records unless all are asked for, and obeys filters and age', async () => {
      for (const type of ['regular', 'internal', 'frontend'] as const) {
        const mutable = await store.createMutable(undefined, { description: type, type });
        await (await mutable.commit()).release();
      }
      assert.deepEqual(await pruned({ keepDuration: 60_000 }), []);
      assert.deepEqual(await pruned({ filters: ['description==nothing'] }), []);
      assert.deepEqual(
        (await pruned({})).map((record) => record.type),
        ['regular'],
      );
      assert.deepEqual(
        (await pruned({ all: true, filters: ['type==internal'] })).map((record) => record.type),
        ['internal'],
      );
      assert.deepEqual(
        (await pruned()).map((record) => record.type),
        ['frontend'],
      );
    });

    test('pruning to a size removes the least recently used first, and no more than needed', async () => {
      const refs: ImmutableRef[] = [];
      for (const name of ['first', 'second', 'third']) {
        refs.push(await make({ data: name.repeat(100_000) }, undefined, name));
      }
      const [first, second, third] = refs;
      for (const ref of [second!, third!, first!]) {
        await ref.release();
        const released = Date.now();
        while (Date.now() === released) await setImmediate();
      }
      const total = (await store.usage()).reduce((sum, record) => sum + record.size, 0);
      assert.deepEqual(await pruned({ maxUsedSpace: total + 1 }), []);
      assert.deepEqual(await pruned({ maxUsedSpace: 1, reservedSpace: total + 1 }), []);
      assert.deepEqual(
        (await pruned({ maxUsedSpace: total - 1 })).map((record) => record.description),
        ['second'],
      );
      assert.equal((await pruned({ minFreeSpace: Number.MAX_SAFE_INTEGER })).length, 2);
    });

    test('after a kill complete records are there, and the half-made is gone', async () => {
      await stop();
      const script = path.join(import.meta.dirname, 'testing/killed-ref-store.ts');
      const child = spawnSync(process.execPath, [script, dir, snapshotter.name], { encoding: 'utf8' });
      assert.equal(child.signal, 'SIGKILL', child.stderr);
      const made = JSON.parse(child.stdout) as KilledStoreOutput;
      await start();
      assert.deepEqual(mountPointsBelow(dir), []);
      assert.deepEqual((await store.usage()).map((record) => record.id).sort(), made.complete.toSorted());
      for (const id of [made.half, made.thawed]) {
        assert.equal(await snapshotter.stat(snapshotId(id)), undefined);
      }
      assert.deepEqual(await contents((await store.get(made.frozen as RefId))!), { frozen: 'frozen' });
      assert.deepEqual(await contents((await store.get(made.merged as RefId))!), {
        base: 'base',
        child: 'child',
        other: 'other',
      });
    });

    test('an image keeps its blobs when their records are pruned, until everything is', async () => {
      const ref = await make({ a: '1' });
      const [blob] = await store.blobs(ref, blobOptions());
      const { digest } = blob!.descriptor;
      images = [{ name: 'app', createdAt: new Date(), blobs: [digest] }];
      assert.deepEqual(
        (await store.usage(['shared'])).map(({ id }) => id),
        [ref.id],
      );
      await ref.release();
      assert.deepEqual(
        (await pruned({})).map(({ id }) => id),
        [ref.id],
      );
      const [left] = await store.usage();
      assert.equal(left!.description, 'image app');
      assert.equal(left!.size, 4096);
      assert.ok(await content.stat(digest));
      assert.deepEqual(
        (await pruned()).map(({ description }) => description),
        ['image app'],
      );
      assert.equal(await content.stat(digest), undefined);
      assert.deepEqual(await store.usage(), []);
    });

    test('the start deletes the blobs that nobody names', async () => {
      const ref = await make({ a: '1' });
      const [blob] = await store.blobs(ref, blobOptions());
      const lost = await writeBlob(content, createHash('sha256').update('lost').digest());
      const kept = await writeBlob(content, createHash('sha256').update('kept').digest());
      images = [{ name: 'app', createdAt: new Date(), blobs: [kept.digest] }];
      await restart();
      assert.equal(await content.stat(lost.digest), undefined);
      assert.ok(await content.stat(kept.digest));
      assert.ok(await content.stat(blob!.descriptor.digest));
    });
  });
}
