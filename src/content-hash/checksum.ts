import type { Digest } from '../base/digest.ts';
import type { WaitContext } from '../base/progress.ts';
import type { ImmutableRef } from '../ref/ref.ts';

/** What part of a tree a consumer reads: the selection that its cache key must cover, and nothing else. */
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
 * attributes, device numbers and data count, times do not. File digests are kept per layer so that a tree that
 * shares layers with one seen before is not read again.
 */
export interface ContentChecksums {
  /** Throws `not_found` when the path (without wildcard) does not exist, naming it. */
  checksum(ref: ImmutableRef, selection: ContentSelection, context?: WaitContext): Promise<Digest>;
  /** One digest of several selections of a tree (of one: its checksum). */
  combined(
    ref: ImmutableRef,
    selections: readonly ContentSelection[],
    context?: WaitContext,
  ): Promise<Digest>;
}
