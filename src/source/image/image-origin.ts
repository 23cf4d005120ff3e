import type { Digest } from '../../base/digest.ts';
import type { ProgressWriter } from '../../base/progress.ts';
import type { ContentStore } from '../../content/content.ts';
import type { Descriptor } from '../../oci/descriptor.ts';
import type { SourceContext } from '../source.ts';

/** Where an image's documents and layers come from: a registry, a client's OCI layout, the local image store. */
export interface ImageOrigin {
  /** For messages and descriptions: `docker.io/library/alpine:latest`. */
  readonly name: string;
  /** What the name stands for now: a manifest or an index. */
  resolve(context: SourceContext): Promise<Descriptor>;
  /** A manifest, index or config, kept in the content store. */
  document(descriptor: Descriptor, context: SourceContext): Promise<Uint8Array>;
  /** Manifests that refer to another one; none where nobody keeps account of them. */
  referrers?(subject: Digest, context: SourceContext): Promise<readonly Descriptor[]>;
  /** Brings a layer into `store`. `onProgress` gets the number of bytes so far. */
  layer(
    descriptor: Descriptor,
    store: ContentStore,
    context: {
      readonly signal: AbortSignal;
      readonly progress: ProgressWriter;
      readonly sessions: readonly string[];
      readonly onProgress: (bytes: number) => void;
    },
  ): Promise<void>;
  /** Reads bytes of a layer without bringing it here; missing where that is not possible. */
  layerPart?(
    descriptor: Descriptor,
    range: { readonly offset: number; readonly length: number },
    context: { readonly signal: AbortSignal; readonly sessions: readonly string[] },
  ): Promise<Uint8Array>;
  /** Whether layers cannot be brought any more because those of `sessions` that had them are gone. */
  isGone?(sessions: readonly string[]): boolean;
  /** Put on the descriptors of layers: where they can be copied from without passing through here. */
  readonly layerAnnotations: Readonly<Record<string, string>>;
}
