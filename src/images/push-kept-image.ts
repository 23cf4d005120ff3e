import type { ContentStore } from '../content/content.ts';
import type { ExportContext } from '../exporter/exporter.ts';
import type { ImageStore } from '../exporter/image/image-store.ts';
import { type PushAccess, pushContent } from '../exporter/image/push-content.ts';
import { isDistributable } from '../oci/media-type.ts';
import { parseReference } from '../oci/reference.ts';
import type { Registry } from '../registry/registry.ts';
import type { HeldImage } from './kept-images.ts';

export interface PushKeptServices {
  readonly images: ImageStore;
  readonly content: ContentStore;
  readonly registry: Registry;
}

/** Pushes an image with all its platforms and attestations to the registry that its name says. A name with a digest only leaves tags alone. */
export async function pushKeptImage(
  { image, documents }: HeldImage,
  access: PushAccess,
  { images, content, registry }: PushKeptServices,
  context: Pick<ExportContext, 'signal' | 'progress'>,
): Promise<void> {
  const { name, target } = image;
  const blobs = documents.blobs
    .filter(({ mediaType }) => isDistributable(mediaType))
    .map((descriptor) => ({ descriptor, open: async () => content.read(descriptor.digest) }));
  const { digest: _, ...reference } = parseReference(name);
  await pushContent({ blobs, manifests: documents.manifests }, reference, access, registry, context);
  await images.markPushed(name, target.digest);
}
