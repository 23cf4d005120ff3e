import type { Platform } from '../base/platform.ts';
import type { BlobReader } from '../content/content.ts';
import { type DockerImage, imageArchive } from '../exporter/image/image-archive.ts';
import { platformImage } from '../oci/image-documents.ts';
import { parseReference } from '../oci/reference.ts';
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
        // A name without a tag is none for Docker, which has the image without a name then.
        ({ config, layers, names }): DockerImage => ({
          config: config.descriptor,
          layers,
          names: names.filter((name) => parseReference(name).tag !== undefined),
        }),
      ),
    },
    content,
  );
}
