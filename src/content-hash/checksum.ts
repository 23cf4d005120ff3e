import type { Digest } from '../base/digest.ts';
import type { WaitContext } from '../base/progress.ts';
import type { ByteString } from '../base/text/byte-string.ts';

/** A tree as checksums read it. Equal ids mean equal content. */
export interface LayeredTree {
  readonly id: string;
  /** Returns the directories, bottom first, whose overlay is the tree. */
  layerDirs(context?: WaitContext): Promise<readonly string[]>;
}

/** What part of a tree a consumer reads: its cache key covers this selection, and nothing else. */
export interface ContentSelection {
  /** Absolute inside the tree; `/` for all of it. */
  readonly path: string;
  /** `path` holds wildcards, matched as a copy matches them. */
  readonly wildcard: boolean;
  /** A symbolic link at the end of `path` is followed (links on the way always are). */
  readonly followLinks: boolean;
  readonly includePatterns: readonly string[];
  readonly excludePatterns: readonly string[];
  /** Have to exist. They do not change the digest. */
  readonly requiredPaths: readonly string[];
  /** Whether mode, owner and attributes of the tree's root count. */
  readonly rootCounts: boolean;
}

/** Several selections of one tree. */
export interface ContentSelections {
  readonly selections: readonly ContentSelection[];
  /** Which digest is of which use cannot be told otherwise: what is combined counts as a list, and differs from BuildKit's. */
  readonly isInOrderOfUse: boolean;
}

/**
 * Digests of file content, stable across machines and time stamps: names, types, modes, owners, link targets, extended
 * attributes, device numbers and data count, times do not. They are those of BuildKit's cache, except where BuildKit gives one digest to
 * different content (see `content-digest.ts`). File digests are kept per layer, so that a tree that
 * shares layers with an earlier one is not read again.
 */
export interface ContentChecksums {
  /** Throws `not_found` when the path (without wildcard) does not exist, naming it. */
  checksum(tree: LayeredTree, selection: ContentSelection, context?: WaitContext): Promise<Digest>;
  /** Returns one digest of the checksums of all selections, as BuildKit's cache has it. */
  combined(tree: LayeredTree, selections: ContentSelections, context?: WaitContext): Promise<Digest>;
}

/** What was hashed of a regular file, by its path in a layer directory (bytes where it is not UTF-8). */
export interface KnownDigest {
  readonly path: string | Uint8Array;
  /** Undefined: there is no such file any more. */
  readonly content: HashedFile | undefined;
}

/** The digest of a header (`tree/content-header.ts`) and the data after it. */
export interface HashedFile {
  /** What the header said: the digest counts for a file that has it. Without attributes. */
  readonly header: ByteString;
  readonly digest: Digest;
}

/** Takes the digests of files that somebody has computed while writing them. */
export interface ChecksumPriming {
  /**
   * Keeps the digests of files just written to `layerDir`, so that they are not read again. Call it when the files
   * have their final metadata: a digest counts while that, size, inode and modification time of the file stay the same.
   */
  prime(layerDir: string, entries: readonly KnownDigest[], signal?: AbortSignal): Promise<void>;
}
