import type { Digest } from '../base/digest.ts';
import type { ContentStore } from '../content/content.ts';
import type { Compression, Descriptor } from '../oci/descriptor.ts';
import type { SnapshotChanges } from '../snapshot/snapshot.ts';

/** The result of making a layer blob. */
export interface DiffResult {
  readonly descriptor: Descriptor;
  readonly diffId: Digest;
}

export interface DiffOptions {
  readonly compression: Compression;
  readonly level?: number;
  /** Clamp file times that are later than this (seconds since 1970). */
  readonly epoch?: number;
  readonly ociMediaTypes: boolean;
  readonly signal?: AbortSignal;
}

/** Turns snapshot changes into layer blobs and back. All of its loops run in threads. */
export interface Differ {
  /** Writes the changes as an OCI layer tar into `store`. Equal changes give equal bytes, whatever the number of threads. */
  diff(changes: SnapshotChanges, store: ContentStore, options: DiffOptions): Promise<DiffResult>;
  /** Recompresses a layer. */
  convert(blob: Descriptor, store: ContentStore, options: DiffOptions): Promise<DiffResult>;
  /**
   * Unpacks a layer blob of `store` into `dir`; `form` says whether whiteouts are kept as overlayfs marks or applied.
   * Nothing is ever written outside `dir`, whatever the names and links in the archive say.
   * Answers the digest of the uncompressed tar.
   */
  apply(
    blob: Descriptor,
    store: ContentStore,
    target: { readonly dir: string; readonly form: 'overlay' | 'tree' },
    signal?: AbortSignal,
  ): Promise<{ readonly diffId: Digest; readonly size: number }>;
}
