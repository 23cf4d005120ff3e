import type { DatabaseSync } from 'node:sqlite';
import type { ThreadPool } from '../base/threads/thread-pool.ts';

/** What a snapshotter works with. Of these it owns the directory only. */
export interface SnapshotterOptions {
  /** An absolute path, the snapshotter's own. */
  readonly root: string;
  /** Where it keeps its records, in a table of its own. */
  readonly database: DatabaseSync;
  readonly pool: ThreadPool;
  /** For deleting and measuring, which must not wait for work in `pool`, nor that for them; `pool` by default. */
  readonly housekeeping?: ThreadPool;
  /** Whether layers may become EROFS images, which this machine must be able to mount. Those that are images are shown in any case. */
  readonly makesImages?: boolean;
}
