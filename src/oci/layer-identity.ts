import type { Platform } from '../base/platform.ts';
import { canonicalText } from '../base/text/canonical.ts';
import type { Descriptor } from './descriptor.ts';
import { tocDigestAnnotation, uncompressedSizeAnnotation } from './estargz.ts';
import { isDistributable, translateLayerType } from './media-type.ts';

/** How a layer is laid out: files at its root, or below `Files` as Windows has it. */
export type LayerForm = 'unix' | 'windows';

/** Notes that a layer is laid out for Windows. Nothing in the layer says so, only the config of its image. */
const formAnnotation = 'kiln/layer-form';

export function layerForm({ annotations }: Descriptor): LayerForm {
  return annotations?.[formAnnotation] === 'windows' ? 'windows' : 'unix';
}

/** How an image for a platform has its layers. */
export function formFor(platform: Platform | undefined): LayerForm {
  return platform?.os === 'windows' ? 'windows' : 'unix';
}

/** The layer with a note of how it is laid out, whatever note it came with. */
export function withLayerForm<T extends Descriptor>(layer: T, form: LayerForm): T {
  if (layerForm(layer) === form) return layer;
  const { [formAnnotation]: _, ...annotations } = layer.annotations ?? {};
  return {
    ...layer,
    annotations: form === 'windows' ? { ...annotations, [formAnnotation]: form } : annotations,
  };
}

/** Tell how the bytes of a layer can be read. */
const readingAnnotations: ReadonlySet<string> = new Set([
  tocDigestAnnotation,
  uncompressedSizeAnnotation,
  'containerd.io/snapshot/overlaybd/blob-digest',
  'containerd.io/snapshot/overlaybd/blob-size',
  'containerd.io/snapshot/overlaybd/blob-fs-type',
]);

/**
 * What a manifest says of its layer that is true of the layer wherever it is used. The rest is about that image (its author's notes, how its
 * times were rewritten), and images that are built on the layer do not repeat it. BuildKit keeps the same.
 */
export function keptAnnotations({ annotations = {} }: Descriptor): Readonly<Record<string, string>> {
  return Object.fromEntries(Object.entries(annotations).filter(([name]) => readingAnnotations.has(name)));
}

/** Annotations by which daemons note something for themselves; images are written without them. */
export function isInternalAnnotation(name: string): boolean {
  return (
    name === 'containerd.io/uncompressed' ||
    name === 'buildkit/createdat' ||
    name === formAnnotation ||
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
export function layerPublication(layer: Descriptor): string {
  const { mediaType, urls = [], annotations = {} } = layer;
  const published = Object.entries(annotations).filter(([name]) => !isInternalAnnotation(name));
  // An image for another system would see other files in the same bytes.
  const form = layerForm(layer) === 'windows' ? ['windows'] : [];
  return canonicalText([isDistributable(mediaType), urls, Object.fromEntries(published), ...form]);
}
