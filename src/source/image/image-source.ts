import { asKilnError, KilnError } from '../../base/errors.ts';
import { formatPlatform, type Platform } from '../../base/platform.ts';
import type { ContentStore } from '../../content/content.ts';
import type { SourceOp } from '../../llb/op.ts';
import type { Descriptor } from '../../oci/descriptor.ts';
import {
  formatReference,
  type ImageReference,
  parseReference,
  withDefaultTag,
  withDigest,
} from '../../oci/reference.ts';
import type { LayerImport } from '../../ref/layer-import.ts';
import type { RegistryCredentials } from '../../registry/client-auth.ts';
import type { Registry } from '../../registry/registry.ts';
import { ResolutionCache } from '../resolution-cache.ts';
import type { ImageResolver, ResolveMode, Source, SourceContext } from '../source.ts';
import { ImageInstance, parseChecksum, parseLayerLimit, parseRecordType } from './image-instance.ts';
import type { ImageOrigin } from './image-origin.ts';
import { type LoadedImage, loadImage } from './load-image.ts';
import { registryOrigin, SeenImages } from './registry-origin.ts';

const scheme = 'docker-image';

/** Images that earlier builds left here, by canonical name. */
export interface LocalImages {
  get(name: string): Promise<Descriptor | undefined>;
}

export interface ImageSourceOptions {
  readonly registry: Registry;
  readonly content: ContentStore;
  readonly layerImport: LayerImport;
  readonly credentials: RegistryCredentials;
  readonly localImages?: LocalImages;
}

interface Found {
  readonly image: LoadedImage;
  readonly origin: ImageOrigin;
}

/**
 * `docker-image://`: images from registries, and those that earlier builds made here. Mode `default` asks the
 * registry and takes a local image of that name when the registry has none; `pull` only asks the registry;
 * `local` asks it only when there is no local image.
 */
export function createImageSource(options: ImageSourceOptions): Source & ImageResolver {
  const cache = new ResolutionCache<Found>();
  const seen = new SeenImages();

  const fromRegistry = async (
    reference: ImageReference,
    platform: Platform,
    context: SourceContext,
  ): Promise<Found> => {
    const origin = registryOrigin(reference, { ...options, seen });
    return { image: await loadImage(origin, platform, context), origin };
  };

  const fromHere = async (
    reference: ImageReference,
    platform: Platform,
    context: SourceContext,
  ): Promise<Found | undefined> => {
    const target = await options.localImages?.get(formatReference(reference));
    if (!target || !(await options.content.stat(target.digest))) return undefined;
    const origin = localOrigin(reference, target, options.content);
    return { image: await loadImage(origin, platform, context), origin };
  };

  const find = async (
    reference: ImageReference,
    platform: Platform,
    mode: ResolveMode,
    context: SourceContext,
  ): Promise<Found> => {
    switch (mode) {
      case 'pull':
        return fromRegistry(reference, platform, context);
      case 'local':
        return (
          (await fromHere(reference, platform, context)) ?? (await fromRegistry(reference, platform, context))
        );
      case 'default':
        try {
          return await fromRegistry(reference, platform, context);
        } catch (error) {
          const failure = asKilnError(error);
          if (failure.code === 'canceled') throw failure;
          const local = await fromHere(reference, platform, context);
          if (!local) throw failure;
          return local;
        }
    }
  };

  const load = (
    reference: ImageReference,
    platform: Platform,
    mode: ResolveMode,
    context: SourceContext,
  ): Promise<Found> =>
    cache.get(
      JSON.stringify([formatReference(reference), formatPlatform(platform), mode]),
      context,
      (shared) => find(reference, platform, mode, shared),
    );

  return {
    schemes: [scheme],
    contentOnly: false,

    open(op: SourceOp, platform: Platform) {
      const reference = withDefaultTag(parseReference(op.identifier.replace(`${scheme}://`, '')));
      const mode = parseResolveMode(op.attrs['image.resolvemode']);
      return new ImageInstance({
        name: formatReference(reference),
        platform,
        recordType: parseRecordType(op.attrs['image.recordtype']),
        layerLimit: parseLayerLimit(op.attrs['image.layerlimit']),
        checksum: parseChecksum(op.attrs['image.checksum']),
        load: (context) => load(reference, platform, mode, context),
        content: options.content,
        layerImport: options.layerImport,
      });
    },

    async resolveConfig(ref, { platform, resolveMode }, context) {
      const reference = withDefaultTag(parseReference(ref));
      const { image } = await load(reference, platform, resolveMode, context);
      const { digest } = image.root;
      return { ref: formatReference(withDigest(reference, digest)), digest, config: image.config };
    },
  };
}

/** Throws `invalid_argument`. */
export function parseResolveMode(text: string | undefined): ResolveMode {
  switch (text) {
    case undefined:
    case '':
    case 'default':
      return 'default';
    case 'pull':
    case 'local':
      return text;
    default:
      throw new KilnError('invalid_argument', `invalid image resolve mode ${JSON.stringify(text)}`, {
        hint: 'one of default, pull and local',
      });
  }
}

function localOrigin(reference: ImageReference, target: Descriptor, content: ContentStore): ImageOrigin {
  return {
    name: formatReference(reference),
    layerAnnotations: {},
    resolve: async () => target,
    document: (descriptor) => content.readAll(descriptor.digest),
    async layer(descriptor) {
      throw new KilnError(
        'not_found',
        `${formatReference(reference)}: layer ${descriptor.digest} of the local image is no longer here`,
        { hint: 'build or pull the image again' },
      );
    },
  };
}
