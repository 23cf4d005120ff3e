import { canonicalText } from '../base/text/canonical.ts';
import type { Descriptor } from './descriptor.ts';
import { isDistributable, translateLayerType } from './media-type.ts';

/** Annotations by which daemons note something for themselves; images are written without them. */
export function isInternalAnnotation(name: string): boolean {
  return (
    name === 'containerd.io/uncompressed' ||
    name === 'buildkit/createdat' ||
    name.startsWith('containerd.io/distribution.source.')
  );
}

/**
 * All that a manifest says of a layer and that an image with this layer will say of it again, in either family's words. Two manifests
 * that agree in the digest only have different layers: whether one is pushed, or where it is fetched, follows from the rest.
 */
export function layerIdentity(layer: Descriptor): string {
  return canonicalText([
    layer.digest,
    layer.size,
    translateLayerType(layer.mediaType, 'oci'),
    layerPublication(layer),
  ]);
}

/** The part of it that does not follow from the layer's bytes. */
export function layerPublication({ mediaType, urls = [], annotations = {} }: Descriptor): string {
  const published = Object.entries(annotations).filter(([name]) => !isInternalAnnotation(name));
  return canonicalText([isDistributable(mediaType), urls, Object.fromEntries(published)]);
}
