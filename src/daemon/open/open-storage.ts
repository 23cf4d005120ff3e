import path from 'node:path';
import { openLocalContentStore } from '../../content/local-content-store.ts';
import { createContentChecksums } from '../../content-hash/content-checksums.ts';
import { openContentEntries } from '../../content-hash/content-entries.ts';
import { createImageStore } from '../../exporter/image/image-store.ts';
import { SqliteKeyStore } from '../../key-store/sqlite-key-store.ts';
import { createLayerDiffer } from '../../layer-blob/layer-differ.ts';
import { unmountBelow } from '../../linux/mount-table.ts';
import { openRefStore } from '../../ref/open-ref-store.ts';
import { chooseSnapshotter } from '../../snapshot/choose-snapshotter.ts';
import { makeDurable } from '../../snapshot/durable-snapshotter.ts';
import { WriteLedger } from '../../snapshot/write-ledger.ts';
import { HttpDownloads } from '../../source/http/http-downloads.ts';
import { LocalTrees } from '../../source/local/local-trees.ts';
import type { WorkerConfig } from '../config/daemon-config.ts';
import type { DaemonLog } from '../daemon-log.ts';
import { DatabaseKeeper } from '../upkeep/database-keeper.ts';
import type { EngineRoot } from './open-root.ts';
import type { EngineThreads } from './open-threads.ts';

export interface StorageOptions {
  readonly root: EngineRoot;
  readonly threads: EngineThreads;
  readonly snapshotter: WorkerConfig['snapshotter'];
  readonly log: DaemonLog;
  /** Whether no build is running. */
  readonly isIdle: () => boolean;
  /** Waits until there is free space, or for a while: called before a tree is written. */
  readonly makeRoom: (signal?: AbortSignal) => Promise<void>;
}

/** What is kept from one build to the next: trees, blobs, cache keys, and what is known about them. */
export type EngineStorage = Awaited<ReturnType<typeof openStorage>>;

/** Opens the stores, and removes from each what a killed process left half done. */
export async function openStorage(options: StorageOptions) {
  const { root, threads, log, isIdle } = options;
  const { directory, database, reserve } = root;
  const { files, compression, unpacking, housekeeping } = threads;
  await using resources = new AsyncDisposableStack();

  const isLazy = options.snapshotter === 'stargz';
  // A killed process may have left layers mounted, which nobody serves any more.
  unmountBelow(path.join(directory, 'snapshots'));
  const ledger = new WriteLedger(database);
  const content = await openLocalContentStore(path.join(directory, 'content'), {
    doubtfulSince: ledger.doubtfulSince,
  });
  const snapshotter = resources.use(
    await makeDurable(
      chooseSnapshotter(isLazy ? 'overlayfs' : options.snapshotter, {
        root: path.join(directory, 'snapshots'),
        database,
        pool: files,
        housekeeping,
      }),
      ledger,
    ),
  );
  ledger.acknowledge();
  const images = createImageStore(database);
  const keyStore = new SqliteKeyStore(database);
  const entries = resources.use(
    // Builds wait for what they keep in there: it must not queue behind the deletion of a large tree.
    await openContentEntries({ directory: path.join(directory, 'explain'), pool: files }),
  );
  const checksums = createContentChecksums({ database, pool: files, entries });
  const localTrees = new LocalTrees(database);
  const downloads = new HttpDownloads(database);
  resources.use(new DatabaseKeeper({ database, file: root.databaseFile, isIdle }));
  const refs = resources.use(
    await openRefStore({
      root: path.join(directory, 'refs'),
      database,
      snapshotter,
      content,
      differ: createLayerDiffer({ pool: compression, unpacking }),
      pool: files,
      images,
      isIdle,
      makeRoom: options.makeRoom,
      mountsLayers: isLazy,
      deleteRows: (id, layerDir) => {
        localTrees.forgetRef(id);
        downloads.forgetRef(id);
        if (layerDir !== undefined) checksums.forget(layerDir);
      },
      onPruned: () => reserve.adjust(),
      // What fails to go now goes at the next start.
      onRemoved: (id) =>
        void keyStore.dropResult(id).catch((error) => log.debug(`cannot drop the keys of ${id}: ${error}`)),
    }),
  );
  const owned = resources.move();
  return {
    ledger,
    content,
    snapshotter,
    images,
    keyStore,
    entries,
    checksums,
    localTrees,
    downloads,
    ...refs,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}
