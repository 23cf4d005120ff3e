import { isDigest } from '../base/digest.ts';
import { formatTime } from '../base/format-time.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import { isLayerType, layerCompression, translateLayerType } from '../oci/media-type.ts';
import type { LayerBlob } from '../ref/ref.ts';
import type { LayerAnnotations } from './config/cache-config.ts';

/** Annotations of layers in the manifests of caches, as containerd and BuildKit name them. */
const uncompressedDigest = 'containerd.io/uncompressed';
const creationTime = 'buildkit/createdat';
const creator = 'buildkit/description';

/** The layer that a cache's manifest describes; undefined if what is said of it does not do to unpack it. */
export function describedLayer(descriptor: Descriptor): LayerBlob | undefined {
  const { mediaType, digest } = descriptor;
  if (!isLayerType(mediaType)) return undefined;
  const {
    [uncompressedDigest]: diffId = layerCompression(mediaType) === 'uncompressed' ? digest : '',
    [creationTime]: time,
    [creator]: description,
    ...annotations
  } = descriptor.annotations ?? {};
  if (!isDigest(diffId)) return undefined;
  const createdAt = new Date(time ?? Number.NaN);
  return {
    descriptor: { ...descriptor, annotations },
    diffId,
    ...(!Number.isNaN(createdAt.getTime()) && { createdAt }),
    ...(description !== undefined && { description }),
  };
}

/** What a manifest says of a layer, with all that `describedLayer` needs. */
export function layerDescriptor(
  { descriptor, diffId, createdAt }: LayerBlob,
  family: 'oci' | 'docker',
): Descriptor {
  const { mediaType, digest, size, urls, annotations } = descriptor;
  return {
    mediaType: translateLayerType(mediaType, family),
    digest,
    size,
    urls,
    annotations: {
      ...Object.fromEntries(
        Object.entries(annotations ?? {}).filter(([name]) => !name.startsWith('containerd.io/distribution.')),
      ),
      [uncompressedDigest]: diffId,
      ...(createdAt && { [creationTime]: formatTime(createdAt) }),
    },
  };
}

/** The same in a config that no manifest goes with. */
export function layerAnnotations({ descriptor, diffId, createdAt }: LayerBlob): LayerAnnotations {
  return {
    mediaType: translateLayerType(descriptor.mediaType, 'oci'),
    diffId,
    size: descriptor.size,
    createdAt,
  };
}
