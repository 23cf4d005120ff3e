import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { ThreadPool } from '../base/threads/thread-pool.ts';
import type { ContentStore } from '../content/content.ts';
import { openLocalContentStore } from '../content/local-content-store.ts';
import { createLayerDiffer } from '../layer-blob/layer-differ.ts';
import { openOverlaySnapshotter } from '../snapshot/overlay-snapshotter.ts';
import type { Snapshotter } from '../snapshot/snapshot.ts';
import { type OpenRefStore, openRefStore, type RefStoreOptions } from './open-ref-store.ts';

/** For tests: a ref store, with all that it needs. */
export interface RefStoreRig extends OpenRefStore {
  readonly database: DatabaseSync;
  readonly pool: ThreadPool;
  readonly snapshotter: Snapshotter;
  readonly content: ContentStore;
}

export interface RefStoreRigOptions extends Partial<RefStoreOptions> {
  /** Overlayfs by default. */
  readonly openSnapshotter?: typeof openOverlaySnapshotter;
}

/** Opens a ref store in a directory; `resources` owns it. */
export async function openRefStoreRig(
  dir: string,
  resources: AsyncDisposableStack,
  { openSnapshotter = openOverlaySnapshotter, ...options }: RefStoreRigOptions = {},
): Promise<RefStoreRig> {
  const database = resources.adopt(new DatabaseSync(path.join(dir, 'state.db')), (open) => open.close());
  const pool = options.pool ?? resources.use(new ThreadPool({ size: 4 }));
  const snapshotter = resources.use(openSnapshotter({ root: path.join(dir, 'snapshots'), database, pool }));
  const content = await openLocalContentStore(path.join(dir, 'content'));
  const store = resources.use(
    await openRefStore({
      root: path.join(dir, 'refs'),
      ...{ database, snapshotter, content, pool, differ: createLayerDiffer({ pool }) },
      ...options,
    }),
  );
  return { ...store, database, pool, snapshotter, content };
}
