import type { Descriptor } from '../../oci/descriptor.ts';
import type { ImageDocument } from '../../oci/image-document.ts';
import type { WrittenImage } from './image-writer.ts';

/** The manifests below the root of an image, each after the one that it refers to. */
export function imageManifests(image: WrittenImage): readonly ImageDocument[] {
  return image.platforms
    .flatMap(({ manifest, attestations }) => (attestations ? [manifest, attestations.manifest] : [manifest]))
    .filter((manifest) => manifest !== image.root);
}

/** Everything that an image consists of, each blob once and before what refers to it. */
export function imageBlobs(image: WrittenImage): readonly Descriptor[] {
  const descriptors = [
    ...image.platforms.flatMap(({ manifest, config, layers, attestations }) => [
      ...layers.map((layer) => layer.descriptor),
      config.descriptor,
      manifest.descriptor,
      ...(attestations
        ? [...attestations.statements, attestations.config, attestations.manifest].map(
            ({ descriptor }) => descriptor,
          )
        : []),
    ]),
    image.root.descriptor,
  ];
  const blobs = new Map<string, Descriptor>();
  for (const descriptor of descriptors) {
    if (!blobs.has(descriptor.digest)) blobs.set(descriptor.digest, descriptor);
  }
  return [...blobs.values()];
}
