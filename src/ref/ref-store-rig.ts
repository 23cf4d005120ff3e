import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { ThreadPool } from '../base/threads/thread-pool.ts';
import { openLocalContentStore } from '../content/local-content-store.ts';
import { createLayerDiffer } from '../layer-blob/layer-differ.ts';
import { openOverlaySnapshotter } from '../snapshot/overlay-snapshotter.ts';
import { type OpenRefStore, openRefStore } from './open-ref-store.ts';

/** For tests of rooms that make trees: a ref store over overlayfs. */
export interface RefStoreRig extends OpenRefStore {
  readonly database: DatabaseSync;
  readonly pool: ThreadPool;
}

/** Opens one in a directory; `resources` owns it. */
export async function openRefStoreRig(dir: string, resources: AsyncDisposableStack): Promise<RefStoreRig> {
  const database = resources.adopt(new DatabaseSync(path.join(dir, 'state.db')), (open) => open.close());
  const pool = resources.use(new ThreadPool({ size: 4 }));
  const snapshotter = resources.use(
    openOverlaySnapshotter({ root: path.join(dir, 'snapshots'), database, pool }),
  );
  const content = await openLocalContentStore(path.join(dir, 'content'));
  const differ = createLayerDiffer({ pool });
  const store = resources.use(
    await openRefStore({ root: path.join(dir, 'refs'), database, snapshotter, content, differ, pool }),
  );
  return { ...store, database, pool };
}
