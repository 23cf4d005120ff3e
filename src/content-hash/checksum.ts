import type { Digest } from '../base/digest.ts';
import type { WaitContext } from '../base/progress.ts';

/** A tree as checksums read it. Equal ids mean equal content. */
export interface LayeredTree {
  readonly id: string;
  /** Returns the directories, bottom first, whose overlay is the tree. */
  layerDirs(context?: WaitContext): Promise<readonly string[]>;
}

/** What part of a tree a consumer reads: its cache key covers this selection, and nothing else. */
export interface ContentSelection {
  /** Absolute inside the tree; `/` for all of it. With a slash at the end a directory's own mode and owner do not count. */
  readonly path: string;
  /** `path` holds wildcards, matched as a copy matches them. */
  readonly wildcard: boolean;
  /** A symbolic link at the end of `path` is followed (links on the way always are). */
  readonly followLinks: boolean;
  readonly includePatterns: readonly string[];
  readonly excludePatterns: readonly string[];
}

/**
 * Digests of file content, stable across machines and time stamps: names, types, modes, owners, link targets, extended
 * attributes, device numbers and data count, times do not. File digests are kept per layer, so that a tree that
 * shares layers with an earlier one is not read again.
 */
export interface ContentChecksums {
  /** Throws `not_found` when the path (without wildcard) does not exist, naming it. */
  checksum(tree: LayeredTree, selection: ContentSelection, context?: WaitContext): Promise<Digest>;
  /** Returns one digest of several selections of a tree; for a single selection it is the checksum. */
  combined(
    tree: LayeredTree,
    selections: readonly ContentSelection[],
    context?: WaitContext,
  ): Promise<Digest>;
}

/** The digest of a regular file's data, by its path in a layer directory (bytes where it is not UTF-8). */
export interface KnownDigest {
  readonly path: string | Uint8Array;
  /** Undefined: there is no such file any more. */
  readonly digest: Digest | undefined;
}

/** Takes the digests of files that somebody has computed while writing them. */
export interface ChecksumPriming {
  /**
   * Keeps the digests of files just written to `layerDir`, so that they are not read again. Call it when the files
   * have their final metadata: a digest counts while size, inode and modification time of the file stay the same.
   */
  prime(layerDir: string, entries: readonly KnownDigest[], signal?: AbortSignal): Promise<void>;
}
