import type { Digest } from '../base/digest.ts';
import type { ContentStore } from '../content/content.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import type { LayerFormat } from '../oci/estargz.ts';
import type { LayerForm } from '../oci/layer-identity.ts';
import type { MediaTypeFamily } from '../oci/media-type.ts';
import type { SnapshotChanges } from '../snapshot/snapshot.ts';

/** The result of making a layer blob. */
export interface DiffResult {
  readonly descriptor: Descriptor;
  readonly diffId: Digest;
  /** Of the tar that the blob was made of, where the format adds to it. */
  readonly tarDigest?: Digest;
}

export interface DiffOptions {
  readonly compression: LayerFormat;
  readonly level?: number;
  /** Clamp file times that are later than this (seconds since 1970). */
  readonly epoch?: number;
  readonly mediaTypes: MediaTypeFamily;
  /** How a layer that is written anew is laid out; `unix` by default. */
  readonly form?: LayerForm;
  readonly signal?: AbortSignal;
}

/** Turns snapshot changes into layer blobs and back. All of its loops run in threads. */
export interface Differ {
  /** How many layers it unpacks at the same time; others wait. */
  readonly layersAtOnce: number;
  /** Writes the changes as an OCI layer tar into `store`. Equal changes give equal bytes, whatever the number of threads. */
  diff(changes: SnapshotChanges, store: ContentStore, options: DiffOptions): Promise<DiffResult>;
  /** Recompresses a layer. */
  convert(blob: Descriptor, store: ContentStore, options: DiffOptions): Promise<DiffResult>;
  /**
   * Unpacks a layer blob of `store`, which is laid out as its descriptor says (`layerForm`). Nothing is ever written outside the target, whatever the names and links in the archive say.
   * Returns the digest of the uncompressed tar, and its size in bytes. What an aborted call still writes stays in the target.
   */
  apply(
    blob: Descriptor,
    store: ContentStore,
    target: LayerTarget,
    signal?: AbortSignal,
  ): Promise<{ readonly diffId: Digest; readonly size: number }>;
}

/** Where a layer is unpacked. */
export interface LayerTarget {
  readonly dir: string;
  /** Whether whiteouts are kept as overlayfs marks, or applied to what is in the directory. */
  readonly form: 'overlay' | 'tree';
  /**
   * In an overlay: the directories of the layers below, topmost first. Parents that the layer does not name are like theirs. It is called when all that needs no
   * layer below is done, if there is more to do, and may take its time: no thread waits for it.
   */
  readonly below?: () => Promise<readonly string[]>;
}
