import type { WaitContext } from '../base/progress.ts';
import type { ImmutableRef, RecordOptions, WritableTree } from './ref.ts';

/** Directories that outlive builds under a key: cache mounts of steps, and mirrors of git repositories. */
export interface CacheDirectories {
  /**
   * Returns a directory of the key, held in the way that `sharing` says; a new one starts as `parent` or empty. Directories with
   * another parent are others.
   */
  acquire(
    key: string,
    parent: ImmutableRef | undefined,
    options: CacheDirectoryOptions,
  ): Promise<CacheDirectory>;
  /**
   * Forgets the directories of a key, either those with a parent or the one without: the next `acquire` makes a new one.
   * Those in use are removed when they are released.
   */
  drop(key: string, options: { readonly withParent: boolean }): Promise<void>;
}

/** The context's signal ends the wait for a locked directory, and the unpacking of the parent. */
export interface CacheDirectoryOptions extends RecordOptions, WaitContext {
  readonly sharing: Sharing;
}

/**
 * How a cache directory is held:
 *  - `shared`: together with all others that share it;
 *  - `private`: alone; while it is held, others get another directory of the same key;
 *  - `locked`: alone; while it is held, others wait.
 */
export type Sharing = 'shared' | 'private' | 'locked';

/** A cache directory that is held. `release` keeps its files for the next holder. */
export interface CacheDirectory extends WritableTree {
  /** Whether the directory has just been made. */
  readonly fresh: boolean;
}
