import type { ProgressWriter, WaitContext } from '../base/progress.ts';
import type { LayerFormat } from '../oci/estargz.ts';
import type { MediaTypeFamily } from '../oci/media-type.ts';
import type { ImmutableRef, LayerBlob } from './ref.ts';

/** Makes blobs of the layers of trees. */
export interface LayerExport {
  /**
   * Returns one blob for each layer of `ref`, bottom first. Missing blobs are made (differed, compressed) in parallel.
   * Lazy layers that need no conversion are not fetched.
   */
  blobs(ref: ImmutableRef, options: BlobOptions): Promise<readonly LayerBlob[]>;
  /** Fetches a blob that `blobs` returned into the content store, if it is not there. Throws `not_found` if nobody provides it. */
  ensureBlob(blob: LayerBlob, context: WaitContext): Promise<void>;
}

export interface BlobOptions {
  readonly compression: LayerFormat;
  /** Undefined: the default of the format. */
  readonly level?: number;
  /** Converts layers that have a blob in another compression. */
  readonly force?: boolean;
  /** Clamps file times that are later than this (seconds since 1970). */
  readonly epoch?: number;
  readonly mediaTypes: MediaTypeFamily;
  readonly signal: AbortSignal;
  readonly progress: ProgressWriter;
}
