import type { BigIntStats } from 'node:fs';
import type { ByteString } from '../base/text/byte-string.ts';
import type { CopyChanges } from '../linux/copy-file.ts';
import type { Tree } from './tree.ts';

/** The metadata of an entry. */
export interface EntryMetadata {
  /** Without it, root; in a directory with the set-group-id bit, that directory's group. */
  readonly owner?: { readonly uid: number; readonly gid: number };
  /** Permission, set-id and sticky bits. */
  readonly mode: number;
  /** Access and modification time in nanoseconds since 1970; without it, the time at which the entry is made. */
  readonly times?: { readonly access: bigint; readonly modification: bigint };
  /** Extended attributes by name. Marks of overlayfs and security labels among them are left out (`isMachineAttribute`). */
  readonly xattrs?: ReadonlyMap<string, ByteString>;
}

/** Everything that a tree can have at a path. Whoever reads such a thing from outside parses it into this first. */
export type TreeEntry =
  | { readonly kind: 'directory' | 'fifo'; readonly metadata: EntryMetadata }
  /** For data that comes piece by piece there is `addFile`. */
  | { readonly kind: 'file'; readonly metadata: EntryMetadata; readonly data: Uint8Array }
  /** `target`: the text of the link, which has no mode. */
  | { readonly kind: 'symlink'; readonly metadata: Omit<EntryMetadata, 'mode'>; readonly target: ByteString }
  /** Not the device 0/0, which is a mark (`isWhiteoutNumber`). */
  | {
      readonly kind: 'character-device' | 'block-device';
      readonly metadata: EntryMetadata;
      readonly major: number;
      readonly minor: number;
    }
  /** Another name of the entry at the path `target`, which is no directory. */
  | { readonly kind: 'hard-link'; readonly target: ByteString };

/** A file whose data is arriving. It has its metadata, and in some trees its name, when it is finished. */
export interface GrowingFile {
  /** The bytes are only used during the call. */
  write(chunk: Uint8Array): void;
  /** The next `size` bytes, at least one, are zeros that take no space. */
  hole(size: number): void;
  /** Takes all of `source` without blocking the thread: for the event loop. Rejects with what the source or the disk says, or the reason of the signal. */
  writeAll(source: AsyncIterable<Uint8Array>, signal: AbortSignal): Promise<void>;
  finish(): void;
}

/** An entry of a finished tree. */
export interface SourceEntry {
  /** Where it is on this machine. */
  readonly path: ByteString;
  /** As `lstat` with `bigint` gives them; not needed for a regular file. */
  readonly stats?: BigIntStats;
}

/** What a copy gets instead of what its source has, and what else the copying of several entries has in common. */
export interface EntryChanges extends CopyChanges {
  /** Attributes that the copy does not get, instead of those that are marks. */
  readonly leavesOut?: (attribute: string) => boolean;
  /** Names of one file that are copied with the same map stay names of one file. The maker fills it. */
  readonly firstNames?: Map<string, ByteString>;
}

/**
 * Makes a tree: entry by entry, a directory before what is in it. It shows what has been made so far (`Tree`), and gives away neither paths
 * of this machine nor open files. What is made is complete after `finish`; disposing of the maker before that gives up, and what was made until then is
 * for the owner of the place to remove.
 *
 * Paths are those of `Tree`, and must not lead through symbolic links: the maker does not follow a link in the last place, and does not look for links before it.
 * Times of a directory are those that were set last, or later ones when entries were added or removed after that. Errors of the file system have its
 * `code`. All calls block but `writeAll`.
 */
export interface TreeMaker extends Tree, Disposable {
  /** Throws `EEXIST` when something has the name, unless the maker replaces what is there. */
  add(path: ByteString, entry: TreeEntry): void;
  /** Begins a regular file. Throws as `add` does. Several can grow at a time. */
  addFile(path: ByteString, metadata: EntryMetadata): GrowingFile;
  /**
   * Copies an entry of another tree, but no directory: data, holes, owner, mode, times and extended attributes, without those that are marks for
   * an overlay anywhere. A socket becomes an empty file; a device 0/0 is left out. Throws as `add` does.
   */
  copy(path: ByteString, source: SourceEntry, changes: EntryChanges): void;
  /** Gives an entry the metadata that the same copy would give it. It keeps extended attributes that the source does not have. */
  copyMetadata(path: ByteString, source: Required<SourceEntry>, changes: EntryChanges): void;
  /** Changes what is given, of an entry that exists. Attributes are added to those it has. */
  setMetadata(path: ByteString, metadata: Partial<EntryMetadata>): void;
  /** Removes an entry, a directory with all that is in it. What does not exist is no error. */
  remove(path: ByteString): void;
  finish(): void;
}

/** Makes one layer of an overlay: a tree with marks that say what the layers below do not show any more. */
export interface LayerMaker extends TreeMaker {
  /** Marks the name as deleted. Throws `EEXIST`. */
  addWhiteout(path: ByteString): void;
  /** Hides what the layers below have in the directory. */
  makeOpaque(path: ByteString): void;
  isOpaque(path: ByteString): boolean;
  /**
   * Makes a directory as overlayfs copies one up from a layer below: with owner, mode and all extended attributes but marks, without what is in it.
   * Its times are for the caller to set. Throws `EEXIST`.
   */
  copyUp(path: ByteString, source: Required<SourceEntry>): void;
  /** Gives a directory owner, mode and extended attributes as `copyUp` does. The opaque mark, which it may have, is gone. */
  copyAccess(path: ByteString, source: Required<SourceEntry>): void;
}
