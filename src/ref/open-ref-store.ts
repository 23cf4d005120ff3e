import { mkdirSync } from 'node:fs';
import path from 'node:path';
import type { DatabaseSync } from 'node:sqlite';
import type { ThreadPool } from '../base/threads/thread-pool.ts';
import type { ContentStore } from '../content/content.ts';
import type { Differ } from '../layer-blob/differ.ts';
import { LazyMounts } from '../lazy-layer/lazy-mounts.ts';
import type { Snapshotter } from '../snapshot/snapshot.ts';
import { LocalCacheDirectories } from './cache-directories/local-cache-directories.ts';
import type { CacheDirectories } from './cache-directories.ts';
import type { DiskUsage, ImageIndex } from './disk-usage.ts';
import { RecordFiles } from './handles/record-files.ts';
import { RecordLifecycle } from './handles/record-lifecycle.ts';
import { RefMounts } from './handles/ref-mounts.ts';
import type { LayerExport } from './layer-export.ts';
import { LayerExporter } from './layer-exporter.ts';
import type { LayerImport } from './layer-import.ts';
import { LayerImporter } from './layer-importer.ts';
import { BlobProviders } from './layers/blob-providers.ts';
import { LazyLayers } from './layers/lazy-layers.ts';
import { MountedLayers } from './layers/mounted-layers.ts';
import { LocalRefStore } from './local-ref-store.ts';
import { OrphanBlobs } from './records/orphan-blobs.ts';
import { RecordSizes } from './records/record-sizes.ts';
import { openRefRecords } from './records/ref-records.ts';
import type { RefId } from './ref.ts';
import type { RefStore } from './ref-store.ts';
import { LocalDiskUsage } from './usage/local-disk-usage.ts';

/** What can be done with the trees of one daemon. Disposing waits for what is being measured and deleted, and unmounts. */
export interface OpenRefStore extends AsyncDisposable {
  readonly refStore: RefStore;
  readonly layerImport: LayerImport;
  readonly layerExport: LayerExport;
  readonly cacheDirectories: CacheDirectories;
  readonly diskUsage: DiskUsage;
}

export interface RefStoreOptions {
  /** The absolute path of a directory that nobody else uses, for mounts. Its file system is the one whose free space counts for `prune`. */
  readonly root: string;
  readonly database: DatabaseSync;
  readonly snapshotter: Snapshotter;
  readonly content: ContentStore;
  readonly differ: Differ;
  readonly pool: ThreadPool;
  /** Empty by default. */
  readonly images?: ImageIndex;
  /** Deletes the rows that other rooms have on a record, in the transaction in which it goes. It gets the record's id and layer directory. */
  readonly deleteRows?: (id: RefId, layerDir: string | undefined) => void;
  /** Told the last id of each record that is gone. */
  readonly onRemoved?: (id: RefId) => void;
  /** Told when records have been pruned, and their space is free. */
  readonly onPruned?: () => void;
  /** Awaited before something is written, so that there can be room for it. */
  readonly makeRoom?: (signal: AbortSignal | undefined) => Promise<void>;
  /** Whether layers that can be read while they are fetched are mounted; by default they are fetched whole. */
  readonly mountsLayers?: boolean;
  /** Milliseconds after which a slow provider of a blob gets company by the next; 10,000 by default. */
  readonly patience?: number;
  /** Returns whether nothing is being built; by default whether no ref is held. */
  readonly isIdle?: () => boolean;
}

const noImages: ImageIndex = { list: async () => [], delete: async () => {}, holds: () => false };

/** Opens the store, and removes what a killed process left half-made, and blobs that nothing names. */
export async function openRefStore(options: RefStoreOptions): Promise<OpenRefStore> {
  const { root, snapshotter, content, differ, pool, images = noImages, makeRoom } = options;
  mkdirSync(root, { recursive: true, mode: 0o700 });
  // Before snapshots are removed, since a killed process may have left them mounted.
  const mounts = new RefMounts(path.join(root, 'mounts'));
  const providers = new BlobProviders(options.patience ?? 10_000);
  const lazyMounts = new LazyMounts();
  const mounted = new MountedLayers({
    mounts: lazyMounts,
    isWanted: options.mountsLayers ?? false,
    snapshotter,
    content,
    providers,
    marker: path.join(root, 'mounted-layers'),
  });
  await mounted.recover();
  const records = await openRefRecords({ ...options, unverified: mounted.ids });
  const orphans = new OrphanBlobs({
    records,
    content,
    images,
    isIdle: options.isIdle ?? (() => records.all().every((record) => record.handles === 0)),
  });
  await orphans.sweep();

  const sizes = new RecordSizes(records, snapshotter);
  const lazyLayers = new LazyLayers({
    records,
    snapshotter,
    content,
    differ,
    makeRoom,
    providers,
    mounted,
    onMaterialized: (record) => sizes.measureSoon(record),
  });
  const lifecycle = new RecordLifecycle({
    records,
    snapshotter,
    lazyLayers,
    sizes,
    orphans,
    makeRoom,
    onRemoved: options.onRemoved,
  });
  const services = { records, lifecycle, files: new RecordFiles({ snapshotter, mounts, lazyLayers }) };
  return {
    refStore: new LocalRefStore(services, lazyLayers),
    layerImport: new LayerImporter(services, lazyLayers),
    layerExport: new LayerExporter({
      services,
      lazyLayers,
      snapshotter,
      content,
      differ,
      parallelism: pool.size,
    }),
    cacheDirectories: new LocalCacheDirectories(services),
    diskUsage: new LocalDiskUsage({
      root,
      records,
      lifecycle,
      sizes,
      content,
      images,
      orphans,
      onPruned: options.onPruned,
    }),
    async [Symbol.asyncDispose]() {
      await lifecycle.retired();
      await sizes[Symbol.asyncDispose]();
      await mounts[Symbol.asyncDispose]();
      await mounted[Symbol.asyncDispose]();
      await lazyMounts[Symbol.asyncDispose]();
      records.flush();
    },
  };
}
