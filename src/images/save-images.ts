import type { Platform } from '../base/platform.ts';
import type { BlobReader } from '../content/content.ts';
import { type DockerImage, imageArchive } from '../exporter/image/image-archive.ts';
import { platformImage } from './image-documents.ts';
import type { HeldImage } from './kept-images.ts';

export type ArchiveFormat = 'docker' | 'oci';

/**
 * Images as one archive, under the names that they have here. `oci` has all their platforms and attestations; `docker` is what
 * `docker load` reads, and has `platform` only. Throws `not_found` when an image is not there for that.
 */
export function saveImages(
  images: readonly HeldImage[],
  format: ArchiveFormat,
  platform: Platform,
  content: BlobReader,
): AsyncIterable<Uint8Array> {
  if (format === 'oci') {
    return imageArchive(
      {
        images: images.map(({ image }) => ({ root: image.target, names: [image.name] })),
        blobs: images.flatMap(({ documents: { blobs, manifests } }) => [
          ...blobs,
          ...manifests.map(({ descriptor }) => descriptor),
        ]),
      },
      content,
    );
  }
  const chosen = images.map(({ image, documents }) => ({
    names: [image.name],
    ...platformImage(documents, platform, image.name),
  }));
  return imageArchive(
    {
      images: chosen.map(({ manifest, names }) => ({ root: manifest, names })),
      blobs: chosen.flatMap(({ layers, config, manifest }) => [...layers, config.descriptor, manifest]),
      dockerImages: chosen.map(
        ({ config, layers, names }): DockerImage => ({ config: config.descriptor, layers, names }),
      ),
    },
    content,
  );
}
