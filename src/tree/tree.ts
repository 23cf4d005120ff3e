import { errnoOf } from '../base/errors.ts';
import type { ByteString } from '../base/text/byte-string.ts';

/** What a path names in a tree. `whiteout`: the device that overlayfs takes for a deletion. */
export type FoundKind = 'directory' | 'file' | 'symlink' | 'whiteout' | 'other';

export interface FoundEntry {
  readonly kind: FoundKind;
  /** Permission, set-id and sticky bits. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
}

/**
 * Looks into a tree of files. Paths are byte strings relative to its root, names separated by `/`; the root is `''`. No question follows
 * a symbolic link in the last place; callers pass paths that no link leads through (`resolveInTree` gives one). Synchronous: for threads.
 */
export interface Tree {
  /** Undefined when there is no such entry. Throws ENOTDIR when what comes before the last name is no directory. */
  lookup(path: ByteString): FoundEntry | undefined;
  /** What a symbolic link holds. */
  readLink(path: ByteString): ByteString;
  /** The names in a directory, in no particular order. */
  names(path: ByteString): readonly ByteString[];
}

/** A path below a directory of a tree. */
export function pathIn(directory: ByteString, name: ByteString): ByteString {
  return directory === '' ? name : `${directory}/${name}`;
}

/** The directory that a path lies in. */
export function parentOf(path: ByteString): ByteString {
  return path.slice(0, Math.max(path.lastIndexOf('/'), 0));
}

/** As `Tree.lookup`, but what lies below something that is no directory does not exist. */
export function lookupIfThere(tree: Tree, path: ByteString): FoundEntry | undefined {
  try {
    return tree.lookup(path);
  } catch (error) {
    if (errnoOf(error) === 'ENOTDIR') return undefined;
    throw error;
  }
}
