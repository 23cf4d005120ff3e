import assert from 'node:assert/strict';
import { existsSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { FaultyDatabase } from '../../src/base/testing/faulty-database.ts';
import type { ThreadPool } from '../../src/base/threads/thread-pool.ts';
import type { ContentStore } from '../../src/content/content.ts';
import { openLocalContentStore } from '../../src/content/local-content-store.ts';
import { createImageStore, type ImageStore } from '../../src/exporter/image/image-store.ts';
import { createLayerDiffer } from '../../src/layer-blob/layer-differ.ts';
import { type OpenRefStore, openRefStore } from '../../src/ref/open-ref-store.ts';
import { makeDurable } from '../../src/snapshot/durable-snapshotter.ts';
import { openNativeSnapshotter } from '../../src/snapshot/native-snapshotter.ts';
import { openOverlaySnapshotter } from '../../src/snapshot/overlay-snapshotter.ts';
import type { Snapshotter } from '../../src/snapshot/snapshot.ts';
import { WriteLedger } from '../../src/snapshot/write-ledger.ts';
import { HttpDownloads } from '../../src/source/http/http-downloads.ts';
import { LocalTrees } from '../../src/source/local/local-trees.ts';

export type SnapshotterKind = 'overlay' | 'native';

/** What a daemon keeps on its disk, put together as the daemon does it, over a database that can be made to fail. */
export class EngineStore implements AsyncDisposable {
  readonly refs: OpenRefStore;
  readonly database: FaultyDatabase;
  readonly images: ImageStore;
  readonly content: ContentStore;
  readonly localTrees: LocalTrees;
  readonly downloads: HttpDownloads;
  readonly #snapshotter: Snapshotter;
  readonly #kind: SnapshotterKind;
  readonly #root: string;
  readonly #resources: AsyncDisposableStack;

  private constructor(parts: {
    root: string;
    kind: SnapshotterKind;
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
    this.#kind = parts.kind;
    this.#resources = parts.resources;
  }

  static async open(root: string, kind: SnapshotterKind, pool: ThreadPool): Promise<EngineStore> {
    await using resources = new AsyncDisposableStack();
    const database = resources.adopt(new FaultyDatabase(path.join(root, 'kiln.db')), (open) => open.close());
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
    return new EngineStore({
      root,
      kind,
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
      this.rows(`snapshot_${this.#kind}`, 'id'),
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
