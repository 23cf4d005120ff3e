import type { ProgressWriter } from '../base/progress.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import type { ImmutableRef, LayerBlob, RecordOptions } from './ref.ts';

/** Makes trees of layers that came as blobs. */
export interface LayerImport {
  /**
   * Returns the tree of these layers, bottom first, which are fetched and unpacked only when somebody needs the files.
   * Imports of the same blobs share records; those of layers that are unpacked are shared by all imports of equal diff ids.
   */
  fromBlobs(
    layers: readonly LayerBlob[],
    provider: BlobProvider,
    options: RecordOptions,
  ): Promise<ImmutableRef>;
  /** Names another who provides layers, for those that are read while they come: a build that finds its steps in the cache may read them, too. */
  offer(layers: readonly LayerBlob[], provider: BlobProvider): void;
}

/** Fetches blobs of lazy layers into the content store. It is called at most once at a time per blob. */
export interface BlobProvider {
  /** Names the place that the blobs come from. */
  readonly origin?: string;
  fetch(
    descriptor: Descriptor,
    context: { readonly signal: AbortSignal; readonly progress: ProgressWriter },
  ): Promise<void>;
  /** Reads bytes of a blob that it does not bring here, and that nobody has verified. Missing: it cannot. */
  read?(
    descriptor: Descriptor,
    range: { readonly offset: number; readonly length: number },
    signal: AbortSignal,
  ): Promise<Uint8Array>;
  /** Returns whether the owner of the blobs is gone, so that asking is of no use. Missing: it never is. */
  isGone?(): boolean;
  /** Returns whether no build is left that named this provider. Missing: there always is one. */
  isIdle?(): boolean;
}
