import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import { digestOf } from '../../src/base/digest.ts';
import { databaseFaults, FaultyDatabase } from '../../src/base/testing/faulty-database.ts';
import { ThreadPool } from '../../src/base/threads/thread-pool.ts';
import { type ContentStore, writeBlob } from '../../src/content/content.ts';
import { openLocalContentStore } from '../../src/content/local-content-store.ts';
import { createImageStore, type ImageStore } from '../../src/exporter/image/image-store.ts';
import { createLayerDiffer } from '../../src/layer-blob/layer-differ.ts';
import { type OpenRefStore, openRefStore } from '../../src/ref/open-ref-store.ts';
import type { ImmutableRef, MutableRef, WritableTree } from '../../src/ref/ref.ts';
import { makeDurable } from '../../src/snapshot/durable-snapshotter.ts';
import { openNativeSnapshotter } from '../../src/snapshot/native-snapshotter.ts';
import { openOverlaySnapshotter } from '../../src/snapshot/overlay-snapshotter.ts';
import type { Snapshotter } from '../../src/snapshot/snapshot.ts';
import { Trash } from '../../src/snapshot/trash.ts';
import { WriteLedger } from '../../src/snapshot/write-ledger.ts';
import { HttpDownloads } from '../../src/source/http/http-downloads.ts';
import { LocalTrees } from '../../src/source/local/local-trees.ts';
import { whatIsLeft } from '../failures/what-is-left.ts';
import { Daemon } from '../rig/daemon.ts';
import { mustRun } from '../rig/run-program.ts';
import { SmallDisk } from '../rig/small-disk.ts';
import { WorkDirectory } from '../rig/work-directory.ts';

const megabyte = 1 << 20;

const listOf = async ({ kiln }: Daemon): Promise<readonly unknown[]> =>
  JSON.parse((await kiln.must(['du', '--format', 'json'])).stdout) as readonly unknown[];

/** What a daemon keeps for its cache, in bytes on the disk. */
async function heldBy(root: string): Promise<number> {
  const { stdout } = await mustRun('du', ['-s', '-c', '-B1', `${root}/snapshots`, `${root}/content`]);
  return Number(stdout.trim().split('\n').at(-1)!.split('\t')[0]);
}

async function assertPrunable(daemon: Daemon): Promise<void> {
  const { stdout } = await daemon.kiln.must(['prune', '--all']);
  assert.match(stdout, /Total:/);
  assert.deepEqual(await listOf(daemon), []);
  assert.ok((await heldBy(daemon.root)) < megabyte / 2, `${await heldBy(daemon.root)} bytes are left`);
}

describe('a disk that is full to the last byte', () => {
  const contextOf = (work: WorkDirectory, steps = 3) =>
    work.tree({
      file: 'of the context',
      Dockerfile: [
        'FROM base',
        'COPY file /file',
        ...Array.from({ length: steps }, (_, step) => `RUN head -c 1000000 /dev/urandom > /data-${step}`),
        'FROM scratch',
        'COPY --from=0 /file /x',
        'COPY --link --from=0 /file /y',
      ].join('\n'),
    });

  for (const [what, options] of [
    ['', {}],
    [', and of which a part is kept for root', { reservedBlocks: 10 }],
  ] as const) {
    test(`is emptied by a prune${what}; a restart agrees, and the root is of use again`, async () => {
      using work = new WorkDirectory();
      await using disk = await SmallDisk.make(90, options);
      const root = disk.at('root');
      const context = contextOf(work);
      {
        await using daemon = await Daemon.start({ root, args: ['--oci-worker-gc=false'] });
        await daemon.kiln.build(context, ['-t', 'example.org/kept:1']);
        disk.fill('filler');
        await assertPrunable(daemon);
        disk.fill('more');
      }
      // What the daemon kept for this is gone now: it starts, and prunes, with what is left of itself.
      await using daemon = await Daemon.start({ root, args: ['--oci-worker-gc=false'] });
      assert.deepEqual(await listOf(daemon), []);
      rmSync(disk.at('more'));
      await daemon.kiln.build(context);
      disk.fill('again');
      await assertPrunable(daemon);
      rmSync(disk.at('filler'));
      await daemon.kiln.build(context);
    });
  }

  test('is emptied by a daemon that starts on it', async () => {
    using work = new WorkDirectory();
    await using disk = await SmallDisk.make(90);
    const root = disk.at('root');
    const args = ['--oci-worker-gc=false'];
    {
      await using daemon = await Daemon.start({ root, args });
      await daemon.kiln.build(contextOf(work));
      disk.fill('filler');
    }
    disk.fill('filler');
    await using daemon = await Daemon.start({ root, args });
    disk.fill('filler');
    await assertPrunable(daemon);
  });

  test('fails a build with a word about the disk, and nothing of it is left', async () => {
    using work = new WorkDirectory();
    await using disk = await SmallDisk.make(90);
    await using daemon = await Daemon.start({ root: disk.at('root'), args: ['--oci-worker-gc=false'] });
    await daemon.kiln.build(contextOf(work));
    const before = await listOf(daemon);
    disk.fill('filler');
    const held = await heldBy(daemon.root);
    const { stderr } = await daemon.kiln.failingBuild(
      work.tree({ Dockerfile: 'FROM base\nCOPY data /data\nRUN true\n', data: randomBytes(3 * megabyte) }),
    );
    assert.match(stderr, /no space left|disk is full/i);
    assert.match(stderr, /hint: free disk space/);
    assert.deepEqual(whatIsLeft(daemon.root), []);
    const after = await listOf(daemon);
    assert.equal(after.length, before.length, JSON.stringify(after));
    assert.ok((await heldBy(daemon.root)) <= held);
    await assertPrunable(daemon);
  });

  test('has no room for more names in the trash: all that goes there is deleted, and nothing stays where it was', async () => {
    await using disk = await SmallDisk.make(8);
    await using pool = new ThreadPool({ size: 1 });
    await using trash = new Trash(disk.at('trash'), pool);
    const victims = Array.from({ length: 200 }, (_, index) => disk.at('trees', `${index}`));
    for (const victim of victims) mkdirSync(victim, { recursive: true });
    disk.fill('filler');
    const discards = await Promise.all(victims.map((victim) => trash.discard(victim)));
    assert.deepEqual(
      victims.filter((victim) => existsSync(victim)),
      [],
    );
    for (const { freed } of discards) assert.ok((await freed) > 0);
    assert.deepEqual(readdirSync(disk.at('trash')), []);
  });

  test('has no inodes either: a prune empties it, before and after a start', async () => {
    using work = new WorkDirectory();
    await using disk = await SmallDisk.make(90, { inodes: 2000 });
    const root = disk.at('root');
    const args = ['--oci-worker-gc=false'];
    {
      await using daemon = await Daemon.start({ root, args });
      await daemon.kiln.build(contextOf(work, 1));
      disk.fillInodes('files');
      disk.fill('files/0');
      await assertPrunable(daemon);
      await daemon.kiln.build(contextOf(work, 1)).catch(() => {});
      disk.fillInodes('more');
    }
    disk.fillInodes('yet-more');
    await using daemon = await Daemon.start({ root, args });
    await assertPrunable(daemon);
  });
});

for (const kind of ['overlay', 'native'] as const) {
  describe(`a database that fails at any statement, over the ${kind} snapshotter`, () => {
    /** A store as the daemon has it. */
    class Store implements AsyncDisposable {
      readonly refs: OpenRefStore;
      readonly database: FaultyDatabase;
      readonly images: ImageStore;
      readonly content: ContentStore;
      readonly localTrees: LocalTrees;
      readonly downloads: HttpDownloads;
      readonly #snapshotter: Snapshotter;
      readonly #root: string;
      readonly #resources: AsyncDisposableStack;

      private constructor(parts: {
        root: string;
        refs: OpenRefStore;
        database: FaultyDatabase;
        images: ImageStore;
        content: ContentStore;
        localTrees: LocalTrees;
        downloads: HttpDownloads;
        snapshotter: Snapshotter;
        resources: AsyncDisposableStack;
      }) {
        this.refs = parts.refs;
        this.database = parts.database;
        this.images = parts.images;
        this.content = parts.content;
        this.localTrees = parts.localTrees;
        this.downloads = parts.downloads;
        this.#snapshotter = parts.snapshotter;
        this.#root = parts.root;
        this.#resources = parts.resources;
      }

      static async open(root: string, pool: ThreadPool): Promise<Store> {
        await using resources = new AsyncDisposableStack();
        const database = resources.adopt(new FaultyDatabase(path.join(root, 'kiln.db')), (open) =>
          open.close(),
        );
        database.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF');
        const open = kind === 'overlay' ? openOverlaySnapshotter : openNativeSnapshotter;
        const snapshotter = resources.use(
          await makeDurable(
            open({ root: path.join(root, 'snapshots'), database, pool }),
            new WriteLedger(database),
          ),
        );
        const content = await openLocalContentStore(path.join(root, 'content'));
        const images = createImageStore(database);
        const localTrees = new LocalTrees(database);
        const downloads = new HttpDownloads(database);
        const refs = resources.use(
          await openRefStore({
            root: path.join(root, 'refs'),
            database,
            snapshotter,
            content,
            images,
            differ: createLayerDiffer({ pool }),
            pool,
            deleteRows: (id) => {
              localTrees.forgetRef(id);
              downloads.forgetRef(id);
            },
          }),
        );
        return new Store({
          root,
          refs,
          database,
          images,
          content,
          localTrees,
          downloads,
          snapshotter,
          resources: resources.move(),
        });
      }

      rows(table: string, column: string): string[] {
        return this.database
          .prepare(`SELECT ${column} AS found FROM ${table} ORDER BY ${column}`)
          .all()
          .map(({ found }) => String(found));
      }

      /** Memory, tables and directories tell the same. */
      async assertAgrees(): Promise<void> {
        const usage = await this.refs.diskUsage.list();
        const isBlobs = ({ id, description }: (typeof usage)[number]) =>
          id === 'documents' || description.startsWith('image ');
        const records = usage.filter((record) => !isBlobs(record));
        const stored = this.rows('ref_record', 'id');
        const known = records.map(({ id }) => String(id));
        assert.deepEqual(
          stored.filter((id) => !known.includes(id)),
          [],
          'rows without a record',
        );
        assert.deepEqual(
          // A tree that is being written has no row: it would not survive a restart.
          records.filter(({ id, mutable }) => !mutable && !stored.includes(id)),
          [],
          'records without a row',
        );
        const snapshots: string[] = [];
        for await (const { id } of this.#snapshotter.list()) snapshots.push(id);
        snapshots.sort();
        assert.deepEqual(
          this.rows(`snapshot_${kind}`, 'id'),
          snapshots,
          'snapshots in the table and in memory',
        );
        const dirs = readdirSync(path.join(this.#root, 'snapshots', 's')).sort();
        const bare = (id: string) => !existsSync(path.join(this.#root, 'snapshots', 's', id));
        assert.deepEqual(
          dirs.filter((dir) => !snapshots.includes(dir)),
          [],
          'directories without a snapshot',
        );
        // Merges that need nothing of their own have no directory.
        assert.deepEqual(
          records.filter(({ id, size }) => size > 0 && snapshots.includes(id) && bare(id)),
          [],
        );
        assert.deepEqual(
          snapshots.filter((id) => !known.includes(id)),
          [],
          'snapshots without a record',
        );
        for (const [table, column] of [
          ['local_trees', 'ref'],
          ['http_downloads', 'ref'],
          ['ref_blob', 'record'],
        ] as const) {
          const orphans = this.rows(table, column).filter((ref) => !stored.includes(ref));
          assert.deepEqual(orphans, [], `${table} of records that are gone`);
        }
        const held = new Set([...this.rows('ref_blob', 'digest'), ...this.rows('image_blobs', 'digest')]);
        const loose: string[] = [];
        for await (const { digest } of this.content.list()) if (!held.has(digest)) loose.push(digest);
        assert.equal(
          usage.some(({ id }) => id === 'documents'),
          loose.length > 0,
          'blobs that nothing names are listed',
        );
      }

      [Symbol.asyncDispose](): Promise<void> {
        return this.#resources.disposeAsync();
      }
    }

    const options = { description: 'a test', type: 'regular' } as const;

    async function layer(
      { refs }: Store,
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
    async function fillStore(store: Store): Promise<void> {
      const { refs } = store;
      const base = await layer(store, undefined, 'base');
      const one = await layer(store, base, 'one');
      const two = await layer(store, base, 'two');
      const merged = await refs.refStore.merge([one, two], options);
      const diff = await refs.refStore.diff(base, one, options);
      for (const ref of [merged, diff]) await ref.layerDirs();
      const blob = await writeBlob(store.content, Buffer.from('a manifest'));
      await store.images.put({
        name: 'example.org/kept:1',
        target: { mediaType: 'application/json', ...blob },
        blobs: [blob.digest],
      });
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

    async function pruneAll({ refs }: Store): Promise<void> {
      for await (const _ of refs.diskUsage.prune({ all: true }));
    }

    const operations: Readonly<Record<string, (store: Store) => Promise<void>>> = {
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

    // What the snapshotters have in common is the same code.
    const tried = Object.entries(operations).slice(0, kind === 'overlay' ? undefined : 1);
    for (const [what, operate] of tried) {
      for (const [fault, code] of Object.entries(databaseFaults)) {
        test(`${what}, with the fault ${fault}: memory, tables and disk agree after it, and after a restart`, async () => {
          using work = new WorkDirectory();
          await using pool = new ThreadPool({ size: 2 });
          for (const lasting of [false, true]) {
            const root = work.tree({});
            let hits = 1;
            let left = 0;
            while (hits > 0) {
              {
                await using store = await Store.open(root, pool);
                // A restart for each would take long.
                for (const end = left + 10; hits > 0 && left < end; left++) {
                  await pruneAll(store);
                  await fillStore(store);
                  store.database.failAfter(left, code, { lasting });
                  await operate(store).catch((error: unknown) => {
                    assert.match(String(error), /failed on purpose|was pruned/);
                  });
                  hits = store.database.heal();
                  await store.assertAgrees();
                }
              }
              await using store = await Store.open(root, pool);
              await store.assertAgrees();
              await pruneAll(store);
              assert.deepEqual(await store.refs.diskUsage.list(), []);
              assert.deepEqual(readdirSync(path.join(root, 'snapshots', 's')), []);
              assert.deepEqual(readdirSync(path.join(root, 'content', 'blobs', 'sha256')), []);
            }
            assert.ok(left > 1, 'no statement was made to fail');
          }
        });
      }
    }
  });
}
