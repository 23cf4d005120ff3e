import { KilnError } from '../../base/errors.ts';
import { formatTime } from '../../base/format-time.ts';
import { formatPlatform } from '../../base/platform.ts';
import { withStatus } from '../../base/progress.ts';
import { booleanAttribute } from '../../base/text/attributes.ts';
import type { ClientOutput } from '../../file-sync/client-output.ts';
import type { Descriptor } from '../../oci/descriptor.ts';
import { formatReference, parseReference, withDefaultTag } from '../../oci/reference.ts';
import { createContentClient } from '../../session/requests/content-client.ts';
import type { SessionManager } from '../../session/session.ts';
import { epochFor } from '../epoch.ts';
import { type ExportContext, type Exporter, type ExporterType, isMultiPlatform } from '../exporter.ts';
import { sendFile } from '../send-file.ts';
import { withAttributeMetadata } from './attribute-metadata.ts';
import { fetchLayers } from './fetch-layers.ts';
import { type DockerImage, imageArchive } from './image-archive.ts';
import { imageBlobs } from './image-blobs.ts';
import { namesOf, parseImageOptions, settleImageOptions } from './image-options.ts';
import { imageResponse } from './image-response.ts';
import { type ImageWriterServices, type WrittenImage, writeImage } from './image-writer.ts';

export interface ArchiveExporterServices extends ImageWriterServices {
  readonly output: ClientOutput;
  readonly sessions: SessionManager;
}

export type ArchiveFormat = 'oci' | 'docker';

/** `type=oci` and `type=docker`: the image as a tarball, or (`tar=false`) blob by blob into the client's OCI layout. */
export function createArchiveExporter(
  format: ArchiveFormat,
  services: ArchiveExporterServices,
): ExporterType {
  return { type: format, open: (attributes) => openArchiveExporter(format, attributes, services) };
}

function openArchiveExporter(
  format: ArchiveFormat,
  attributes: Readonly<Record<string, string>>,
  services: ArchiveExporterServices,
): Exporter {
  const parsed = parseImageOptions(attributes, { inlineAttestations: false });
  const tar = booleanAttribute(attributes, 'tar') ?? true;
  return {
    name: `exporting to ${format} image format`,

    async export(given, context) {
      const input = withAttributeMetadata(given, parsed.metadata);
      const options = settleImageOptions(parsed, input, format);
      if (format === 'docker' && isMultiPlatform(input)) {
        throw new KilnError(
          'invalid_argument',
          'docker exporter does not currently support exporting manifest lists',
          { hint: 'use type=oci, or build for one platform' },
        );
      }
      const names = namesOf(options, input.metadata).map((name) =>
        formatReference(withDefaultTag(parseReference(name))),
      );
      const image = await writeImage(input, options, services, context);
      const epoch = epochFor(options.epoch, input.metadata, formatPlatform(input.results[0]!.platform));
      const root = stamped(image.root.descriptor, epoch);
      const response = imageResponse(image, root, names);
      await fetchLayers(image, services.layerExport, context);
      if (tar) {
        const archive = imageArchive(
          {
            images: [{ root, names }],
            blobs: imageBlobs(image),
            dockerImages: format === 'docker' ? dockerImages(image, names) : undefined,
          },
          services.content,
        );
        await withStatus(context.progress, 'sending tarball', () =>
          sendFile(archive, response, services.output, context),
        );
      } else {
        await sendBlobs(image, services, context);
      }
      return response;
    },
  };
}

function stamped(root: Descriptor, epoch: number | undefined): Descriptor {
  const key = 'org.opencontainers.image.created';
  const time = epoch === undefined ? new Date() : new Date(epoch * 1000);
  time.setUTCMilliseconds(0);
  return { ...root, annotations: { [key]: formatTime(time), ...root.annotations } };
}

/** Sends children before parents, so that the client's layout never refers to what it lacks. */
async function sendBlobs(
  image: WrittenImage,
  { content, sessions }: ArchiveExporterServices,
  { sessionId, signal }: ExportContext,
): Promise<void> {
  const client = createContentClient(await sessions.get(sessionId, signal), 'export');
  for (const descriptor of imageBlobs(image)) {
    await client.write(descriptor, content.read(descriptor.digest), signal);
  }
}

function dockerImages({ platforms }: WrittenImage, names: readonly string[]): readonly DockerImage[] {
  return platforms.map(({ config, layers }) => ({
    config: config.descriptor,
    layers: layers.map((layer) => layer.descriptor),
    names,
  }));
}
