import type { Digest } from '../base/digest.ts';
import type { ByteString } from '../base/text/byte-string.ts';

/**
 * What a place outside of this machine has of cache mounts: their files as lists of chunks, and the packs that these chunks are in. Data is kept by
 * what it is, so that what several files, mounts or exports have in common is there once.
 */
export interface MountIndex {
  readonly packs: readonly Pack[];
  readonly mounts: readonly StoredMount[];
}

/** A blob of chunks, one after the other, compressed with zstd. */
export interface Pack {
  readonly digest: Digest;
  /** Bytes of the blob. */
  readonly size: number;
  readonly chunks: readonly Chunk[];
}

export interface Chunk {
  /** SHA-256 in hexadecimal. */
  readonly hash: string;
  /** Bytes, at least one. */
  readonly length: number;
}

export interface StoredMount {
  /** As in `--mount=type=cache,id=…`; without an id, the mount's target. */
  readonly id: string;
  /** When a step last had it, in milliseconds since 1970. */
  readonly takenAt: number;
  /** A directory before what is in it. */
  readonly entries: readonly StoredEntry[];
}

interface Owned {
  readonly path: ByteString;
  readonly uid: number;
  readonly gid: number;
  /** Modification time in nanoseconds since 1970. */
  readonly time: bigint;
}

export type StoredEntry =
  | (Owned & { readonly kind: 'directory'; readonly mode: number })
  /** `chunks`: positions in the list of all chunks of all packs. */
  | (Owned & { readonly kind: 'file'; readonly mode: number; readonly chunks: readonly number[] })
  | (Owned & { readonly kind: 'symlink'; readonly target: ByteString })
  /** Another name of the file at `target`, which comes before it. */
  | { readonly kind: 'hard-link'; readonly path: ByteString; readonly target: ByteString };

/** Bytes of an index, as it is stored and without compression. */
export const maxStoredIndex = 64 * 1024 * 1024;
export const maxIndex = 256 * 1024 * 1024;

/** Bytes of the chunks of a pack. */
export const packLength = 8 * 1024 * 1024;
/** What a pack may have at most: one chunk more. */
export const maxPackLength = 16 * 1024 * 1024;

/** Bytes of the files of a mount: an index can say of a few bytes that they come again and again. */
export const maxMountSize = 64 * 1024 ** 3;
