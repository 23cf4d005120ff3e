import { mapLimit } from '../../base/async/lifetime.ts';
import { KilnError } from '../../base/errors.ts';
import { withStatus } from '../../base/progress.ts';
import type { ContentStore } from '../../content/content.ts';
import { isDistributable } from '../../oci/media-type.ts';
import {
  formatReference,
  type ImageReference,
  parseReference,
  withDefaultTag,
  withDigest,
} from '../../oci/reference.ts';
import type { LayerExport } from '../../ref/layer-export.ts';
import type { LayerBlob } from '../../ref/ref.ts';
import type { Registry, RegistryAuth } from '../../registry/registry.ts';
import type { ExportContext } from '../exporter.ts';
import type { ImageDocument, WrittenImage } from './image-writer.ts';

export interface PushServices {
  readonly registry: Registry;
  readonly content: ContentStore;
  readonly layerExport: LayerExport;
}

export interface PushOptions {
  readonly name: string;
  /** Leave the tag alone: the image is only known by its digest. */
  readonly byDigest: boolean;
  readonly insecure: boolean;
  readonly auth: RegistryAuth;
}

/** More than the registry client transfers at once: what exists there already costs only a question. */
const blobsAtOnce = 16;

/** Pushes layers and configs, then manifests, then what names them: the registry never refers to what it does not have. */
export async function pushImage(
  image: WrittenImage,
  options: PushOptions,
  services: PushServices,
  context: ExportContext,
): Promise<void> {
  const reference = pushReference(options);
  const { signal, progress } = context;
  const access = { signal, auth: options.auth, insecure: options.insecure };
  await withStatus(progress, 'pushing layers', () => pushBlobs(image, reference, options, services, context));

  const shown = formatReference(withDigest(reference, image.root.descriptor.digest));
  await withStatus(progress, `pushing manifest for ${shown}`, async () => {
    const untagged = { domain: reference.domain, path: reference.path };
    for (const { manifest } of image.platforms) {
      if (manifest !== image.root) {
        await services.registry.pushManifest(untagged, manifest.descriptor, manifest.bytes, access);
      }
    }
    await services.registry.pushManifest(reference, image.root.descriptor, image.root.bytes, access);
  });
}

function pushReference({ name, byDigest }: PushOptions): ImageReference {
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

async function pushBlobs(
  image: WrittenImage,
  reference: ImageReference,
  options: PushOptions,
  { registry, content, layerExport }: PushServices,
  { signal, progress }: ExportContext,
): Promise<void> {
  const tasks = new Map<string, (signal: AbortSignal) => Promise<unknown>>();
  for (const { layers, config } of image.platforms) {
    for (const layer of layers) {
      if (!isDistributable(layer.descriptor.mediaType)) continue;
      tasks.set(layer.descriptor.digest, (each) => pushLayer(layer, each));
    }
    tasks.set(config.descriptor.digest, (each) => pushDocument(config, each));
  }
  await mapLimit([...tasks.values()], blobsAtOnce, (task, _index, each) => task(each), signal);

  function pushLayer(layer: LayerBlob, each: AbortSignal): Promise<unknown> {
    const { descriptor } = layer;
    const body = {
      open: async () => {
        await layerExport.ensureBlob(layer, { signal: each, progress });
        return content.read(descriptor.digest);
      },
    };
    return registry.pushBlob(reference, descriptor, body, {
      signal: each,
      auth: options.auth,
      insecure: options.insecure,
      mountFrom: repositoriesOf(layer, reference.domain),
    });
  }

  function pushDocument({ descriptor, bytes }: ImageDocument, each: AbortSignal): Promise<unknown> {
    const body = { open: async () => chunksOf(bytes) };
    return registry.pushBlob(reference, descriptor, body, {
      signal: each,
      auth: options.auth,
      insecure: options.insecure,
    });
  }
}

/** Repositories of the same registry that have this layer already. */
function repositoriesOf({ descriptor }: LayerBlob, domain: string): readonly string[] {
  const names = descriptor.annotations?.[`containerd.io/distribution.source.${domain}`];
  return names?.split(',').filter((name) => name !== '') ?? [];
}

async function* chunksOf(bytes: Uint8Array): AsyncIterable<Uint8Array> {
  yield bytes;
}
