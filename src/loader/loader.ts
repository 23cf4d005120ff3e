import type { Digest } from '../base/digest.ts';
import type { Platform } from '../base/platform.ts';
import type { ProgressWriter } from '../base/progress.ts';
import type { ImageDocuments } from '../oci/image-documents.ts';

/** An image that can be read from where it is. */
export interface LoadableImage {
  readonly documents: ImageDocuments;
  /** Canonical, with a tag. */
  readonly names: readonly string[];
  /** The bytes of any of its blobs, from `offset`. */
  read(digest: Digest, offset: number, signal: AbortSignal): AsyncIterable<Uint8Array>;
  /** All of the image for one platform, as `docker load` reads it. */
  archive(platform: Platform, signal: AbortSignal): AsyncIterable<Uint8Array>;
}

export interface LoadContext {
  readonly signal: AbortSignal;
  readonly progress: ProgressWriter;
}

/** What runs containers on this machine, and can be given images to run. */
export interface Loader {
  /** For messages: `docker at unix:///var/run/docker.sock`. */
  readonly name: string;
  /**
   * Makes it have the image under its names. Layers that it has are not sent. Whatever was made for the transfer is gone
   * afterwards, however it ends. Throws `not_found` when the image is not there for this machine's platform, where one is needed.
   */
  load(image: LoadableImage, context: LoadContext): Promise<void>;
}

/** The kinds of loaders, by the names that people give them. */
export const loaderKinds = ['docker', 'podman', 'containerd'] as const;
export type LoaderKind = (typeof loaderKinds)[number];
