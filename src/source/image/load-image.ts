import { type Digest, digestOf } from '../../base/digest.ts';
import { KilnError } from '../../base/errors.ts';
import { formatPlatform, type Platform } from '../../base/platform.ts';
import type { Descriptor } from '../../oci/descriptor.ts';
import { parseImageConfig } from '../../oci/image-config.ts';
import { layerIdentity } from '../../oci/layer-identity.ts';
import { parseManifest, selectManifest } from '../../oci/manifest.ts';
import { isLayerType } from '../../oci/media-type.ts';
import type { LayerBlob } from '../../ref/ref.ts';
import type { SourceContext } from '../source.ts';
import type { ImageOrigin } from './image-origin.ts';

/** One platform's image, known but for the bytes of its layers. */
export interface LoadedImage {
  /** What the name resolved to: the index if there is one. */
  readonly root: Descriptor;
  readonly manifest: Descriptor;
  readonly config: Uint8Array;
  /** Bottom first. */
  readonly layers: readonly LayerBlob[];
}

const maxNesting = 4;

/** Follows a name to the manifest for `platform` and its config. Throws `not_found` when there is none, saying what there is. */
export async function loadImage(
  origin: ImageOrigin,
  platform: Platform,
  context: SourceContext,
): Promise<LoadedImage> {
  const root = await origin.resolve(context);
  let descriptor = root;
  for (let depth = 0; depth < maxNesting; depth++) {
    const bytes = await origin.document(descriptor, context);
    const document = parseManifest(
      bytes,
      `${origin.name}: manifest ${descriptor.digest}`,
      descriptor.mediaType,
    );
    if (document.kind === 'manifest') {
      const config = await origin.document(document.config, context);
      const layers = layerBlobs(origin, document.layers, config);
      return { root, manifest: descriptor, config, layers };
    }
    const selected = selectManifest(document, platform);
    if (!selected) {
      const offered = document.manifests.flatMap((each) =>
        each.platform ? [formatPlatform(each.platform)] : [],
      );
      throw new KilnError(
        'not_found',
        `${origin.name}: no match for platform ${formatPlatform(platform)} in manifest: not found`,
        {
          hint: offered.length > 0 ? `the image is there for ${[...new Set(offered)].join(', ')}` : undefined,
        },
      );
    }
    descriptor = selected;
  }
  throw new KilnError('invalid_argument', `${origin.name}: indexes are nested more than ${maxNesting} deep`);
}

function layerBlobs(
  origin: ImageOrigin,
  descriptors: readonly Descriptor[],
  configBytes: Uint8Array,
): readonly LayerBlob[] {
  const config = parseImageConfig(configBytes, `${origin.name}: image config`);
  if (config.diffIds.length !== descriptors.length) {
    throw new KilnError(
      'failed_precondition',
      `${origin.name}: its manifest has ${descriptors.length} layers, its config ${config.diffIds.length}`,
    );
  }
  const history = config.history.filter((entry) => !entry.empty_layer);
  return descriptors.map((descriptor, index) => {
    if (!isLayerType(descriptor.mediaType)) {
      throw new KilnError(
        'failed_precondition',
        `${origin.name} is not an image: it has a layer of type ${JSON.stringify(descriptor.mediaType)}`,
      );
    }
    const created = new Date(history[index]?.created ?? Number.NaN);
    return {
      descriptor: { ...descriptor, annotations: { ...descriptor.annotations, ...origin.layerAnnotations } },
      diffId: config.diffIds[index]!,
      createdAt: Number.isNaN(created.getTime()) ? undefined : created,
      description: `pulled from ${origin.name}`,
    };
  });
}

/**
 * Names the files of an image: equal stacks of layers give equal keys, wherever they came from. Equal by their blobs, since anybody can
 * write any diff id into a config, and what was built on layers that nobody has unpacked must not count as built on others.
 */
export function imageKey(layers: readonly LayerBlob[]): Digest {
  if (layers.length === 0) return digestOf('image without layers');
  return digestOf(
    JSON.stringify(layers.map(({ descriptor, diffId }) => [layerIdentity(descriptor), diffId])),
  );
}
