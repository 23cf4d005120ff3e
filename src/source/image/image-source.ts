import { asKilnError, KilnError } from '../../base/errors.ts';
import { formatPlatform, type Platform } from '../../base/platform.ts';
import { withStatus } from '../../base/progress.ts';
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
import { resolveAttestationChain } from './attestation-chain.ts';
import { ImageInstance, parseChecksum, parseLayerLimit, parseRecordType } from './image-instance.ts';
import type { ImageOrigin } from './image-origin.ts';
import { type LoadedImage, loadImage } from './load-image.ts';
import { registryOrigin, SeenImages } from './registry-origin.ts';

const scheme = 'docker-image';

/** Images that are kept here by name. */
export interface LocalImages {
  /** Finds an image by its name, or by its digest in a repository. `isElsewhere`: a registry has it under this name, too. */
  find(
    reference: ImageReference,
  ): Promise<{ readonly target: Descriptor; readonly isElsewhere: boolean } | undefined>;
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
 * `docker-image://`: images from registries, and those that are kept here. A digest means the same image everywhere, so one that is
 * kept here serves in every mode. Of a name, mode `default` takes an image that was never pushed, and does not ask the registry, which
 * cannot know of it; for others it asks the registry, and takes the image here when there is no answer. `pull` only asks the
 * registry; `local` asks it only when there is no image here.
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

  /** With `onlyHere`, nothing that a registry has, too. */
  const fromHere = async (
    reference: ImageReference,
    platform: Platform,
    context: SourceContext,
    { onlyHere }: { readonly onlyHere: boolean } = { onlyHere: false },
  ): Promise<Found | undefined> => {
    const kept = await options.localImages?.find(reference);
    if (!kept || (onlyHere && kept.isElsewhere) || !(await options.content.stat(kept.target.digest))) {
      return undefined;
    }
    const origin = localOrigin(reference, kept.target, options.content);
    return await withStatus(context.progress, `${origin.name} is kept here`, async () => ({
      image: await loadImage(origin, platform, context),
      origin,
    }));
  };

  const find = async (
    reference: ImageReference,
    platform: Platform,
    mode: ResolveMode,
    context: SourceContext,
  ): Promise<Found> => {
    switch (reference.digest === undefined ? mode : 'local') {
      case 'pull':
        return fromRegistry(reference, platform, context);
      case 'local':
        return (
          (await fromHere(reference, platform, context)) ?? (await fromRegistry(reference, platform, context))
        );
      case 'default': {
        const onlyHere = await fromHere(reference, platform, context, { onlyHere: true });
        if (onlyHere) return onlyHere;
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

    async resolveAttestations(ref, question, { platform, resolveMode }, context) {
      const reference = withDefaultTag(parseReference(ref));
      const { image, origin } = await load(reference, platform, resolveMode, context);
      return await resolveAttestationChain(origin, image, question, context);
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
