import { asKilnError, KilnError } from '../../base/errors.ts';
import { withStatus } from '../../base/progress.ts';
import { booleanAttribute } from '../../base/text/attributes.ts';
import { formatReference, parseReference, withDefaultTag } from '../../oci/reference.ts';
import { clientAuth, type RegistryCredentials } from '../../registry/client-auth.ts';
import type { Registry } from '../../registry/registry.ts';
import type { ExportContext, Exporter, ExporterType, ExportInput } from '../exporter.ts';
import { withAttributeMetadata } from './attribute-metadata.ts';
import { fetchLayers, layersAreHere } from './fetch-layers.ts';
import { imageBlobs } from './image-blobs.ts';
import { namesOf, parseImageOptions, settleImageOptions } from './image-options.ts';
import { imageResponse } from './image-response.ts';
import type { ImageStore } from './image-store.ts';
import { type ImageWriterServices, type WrittenImage, writeImage } from './image-writer.ts';
import { pushImage } from './push-image.ts';

export interface ImageExporterServices extends ImageWriterServices {
  readonly registry: Registry;
  readonly credentials: RegistryCredentials;
  readonly images: ImageStore;
}

/** `type=image`: keeps the image here under its names, and pushes it when asked to. */
export function createImageExporter(services: ImageExporterServices): ExporterType {
  return { type: 'image', open: (attributes) => openImageExporter(attributes, services) };
}

function openImageExporter(
  attributes: Readonly<Record<string, string>>,
  services: ImageExporterServices,
): Exporter {
  const parsed = parseImageOptions(attributes);
  const push = booleanAttribute(attributes, 'push') ?? false;
  const byDigest = booleanAttribute(attributes, 'push-by-digest') ?? false;
  const insecure =
    booleanAttribute(attributes, 'registry.insecure') ?? booleanAttribute(attributes, 'insecure') ?? false;
  const store = booleanAttribute(attributes, 'store');
  const unpack = booleanAttribute(attributes, 'unpack') ?? false;
  const canonicalName = booleanAttribute(attributes, 'name-canonical') ?? false;
  const danglingPrefix = attributes['dangling-name-prefix'] ?? '';
  const danglingEmptyOnly = booleanAttribute(attributes, 'danging-name-empty-only') ?? false;
  if (unpack && parsed.rewriteTimestamp) {
    throw new KilnError('invalid_argument', 'exporter option "rewrite-timestamp" conflicts with "unpack"');
  }
  if (push && parsed.names?.length === 0 && !danglingPrefix) {
    throw new KilnError('invalid_argument', 'an image that is to be pushed needs a name', {
      hint: 'add name=registry/repository:tag to the output',
    });
  }
  for (const name of parsed.names ?? []) parseReference(name);

  return {
    name: 'exporting to image',

    async export(given, context) {
      const input = withAttributeMetadata(given, parsed.metadata);
      const options = settleImageOptions(parsed, input, 'image');
      const asked = namesOf(options, input.metadata);
      const image = await writeImage(input, options, services, context);
      const { digest } = image.root.descriptor;
      const dangling = danglingPrefix !== '' && (!danglingEmptyOnly || asked.length === 0);
      const names = dangling ? [...asked, `${danglingPrefix}@${digest}`] : asked;

      // A push alone is no reason to fetch layers that only pass from one registry to itself or another.
      const keep = store ?? (!push || (await layersAreHere(image, services.content)));
      if (keep && names.length > 0) {
        await fetchLayers(image, services.layerExport, context);
        const canonical =
          canonicalName && asked.length > 0 ? asked.filter((name) => !name.includes('@')) : [];
        for (const name of [...names, ...canonical.map((each) => `${each}@${digest}`)]) {
          await withStatus(context.progress, `naming to ${name}`, () =>
            keepImage(image, name, services.images),
          );
        }
      }
      if (unpack) await unpackTrees(input, context);
      if (push) {
        const auth = clientAuth(services.credentials, [context.sessionId]);
        for (const [index, name] of names.entries()) {
          const pushedAs = names.slice(0, index);
          await pushImage(image, { name, byDigest, insecure, auth, pushedAs }, services, context).catch(
            (error: unknown) => {
              throw asKilnError(error).wrap(`failed to push ${name}`);
            },
          );
          await services.images.markPushed(canonicalNameOf(name), digest);
        }
      }
      return imageResponse(image, image.root.descriptor, names);
    },
  };
}

/** Makes the files of an image, so that the next to use it need not. */
async function unpackTrees({ results }: ExportInput, { progress, signal }: ExportContext): Promise<void> {
  await withStatus(progress, 'unpacking', async () => {
    for (const { ref } of results) await ref?.layerDirs({ progress, signal });
  });
}

function keepImage(image: WrittenImage, name: string, images: ImageStore): Promise<void> {
  return images.put({
    name: canonicalNameOf(name),
    target: image.root.descriptor,
    blobs: imageBlobs(image).map(({ digest }) => digest),
  });
}

function canonicalNameOf(name: string): string {
  return formatReference(withDefaultTag(parseReference(name)));
}
