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
  /** The directories that started empty, of keys that begin with `prefix`. */
  list(prefix: string): readonly CacheDirectoryInfo[];
  /**
   * Holds a directory of the key that started empty to read it, together with those who share it; this does not count as use. Undefined when there is none
   * that nobody has alone.
   */
  share(key: string): CacheDirectory | undefined;
  /**
   * Makes the directory that `fill` fills the one of the key, as if it had been used last at `usedAt`. Returns false, and leaves things as they are, when one
   * of the key's directories that started empty is in use or was used after that.
   */
  put(
    key: string,
    usedAt: Date,
    options: RecordOptions & WaitContext,
    fill: (directory: string) => Promise<void>,
  ): Promise<boolean>;
}

/** A directory of a key. */
export interface CacheDirectoryInfo {
  readonly key: string;
  readonly createdAt: Date;
  /** When its last holder released it. */
  readonly lastUsedAt: Date | undefined;
  /** Bytes; undefined before it is measured. */
  readonly size: number | undefined;
  readonly inUse: boolean;
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
