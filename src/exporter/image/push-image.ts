import { KilnError } from '../../base/errors.ts';
import type { ContentStore } from '../../content/content.ts';
import type { ImageDocument } from '../../oci/image-document.ts';
import { isDistributable } from '../../oci/media-type.ts';
import { formatReference, type ImageReference, parseReference, withDefaultTag } from '../../oci/reference.ts';
import type { LayerExport } from '../../ref/layer-export.ts';
import type { LayerBlob } from '../../ref/ref.ts';
import type { Registry } from '../../registry/registry.ts';
import type { ExportContext } from '../exporter.ts';
import { imageManifests } from './image-blobs.ts';
import type { WrittenImage } from './image-writer.ts';
import { type PushAccess, type PushedBlob, pushContent } from './push-content.ts';

export interface PushServices {
  readonly registry: Registry;
  readonly content: ContentStore;
  readonly layerExport: LayerExport;
}

export interface PushOptions extends PushAccess {
  readonly name: string;
  /** Leave the tag alone: the image is only known by its digest. */
  readonly byDigest: boolean;
  /** Names that the image was just pushed as. */
  readonly pushedAs: readonly string[];
}

/** Pushes an image whose layers need not be here yet. */
export async function pushImage(
  image: WrittenImage,
  options: PushOptions,
  services: PushServices,
  context: ExportContext,
): Promise<void> {
  const reference = pushReference(options);
  const { auth, insecure } = options;
  const { platforms, root } = image;
  const pushed = repositoriesAt(reference.domain, options.pushedAs);
  const document = (of: ImageDocument) => ({ ...documentBlob(of), mountFrom: pushed });
  const blobs = platforms.flatMap(({ layers, config, attestations }) => [
    ...layers
      .filter(({ descriptor }) => isDistributable(descriptor.mediaType))
      .map((layer) => layerBlob(layer, services, context))
      .map((blob) => ({ ...blob, mountFrom: [...pushed, ...repositoriesOf(blob, reference.domain)] })),
    document(config),
    ...(attestations ? [attestations.config, ...attestations.statements].map(document) : []),
  ]);
  const manifests = [...imageManifests(image), root];
  await pushContent({ blobs, manifests }, reference, { auth, insecure }, services.registry, context);
}

/** What an image is pushed as. Throws `invalid_argument`. */
export function pushReference({ name, byDigest }: Pick<PushOptions, 'name' | 'byDigest'>): ImageReference {
  const reference = parseReference(name);
  if (byDigest && (reference.tag !== undefined || reference.digest !== undefined)) {
    throw new KilnError('invalid_argument', `can't push tagged ref ${formatReference(reference)} by digest`, {
      hint: 'leave the tag out of the name',
    });
  }
  if (byDigest) return { domain: reference.domain, path: reference.path };
  const { digest: _, ...named } = withDefaultTag({ ...reference, digest: undefined });
  return named;
}

function layerBlob(
  layer: LayerBlob,
  { content, layerExport }: PushServices,
  { progress }: ExportContext,
): PushedBlob {
  const { descriptor } = layer;
  return {
    descriptor,
    async open(signal, options) {
      await layerExport.ensureBlob(layer, { signal, progress });
      return content.read(descriptor.digest, options);
    },
  };
}

function documentBlob({ descriptor, bytes }: ImageDocument): PushedBlob {
  return { descriptor, open: async () => chunksOf(bytes) };
}

/** Repositories of the same registry that have this layer already. */
function repositoriesOf({ descriptor }: PushedBlob, domain: string): readonly string[] {
  const names = descriptor.annotations?.[`containerd.io/distribution.source.${domain}`];
  return names?.split(',').filter((name) => name !== '') ?? [];
}

/** The repositories of a registry among names. */
function repositoriesAt(domain: string, names: readonly string[]): readonly string[] {
  const references = names.map(parseReference).filter((reference) => reference.domain === domain);
  return [...new Set(references.map(({ path }) => path))];
}

async function* chunksOf(bytes: Uint8Array): AsyncIterable<Uint8Array> {
  yield bytes;
}
