import { create } from '@bufbuild/protobuf';
import { timestampFromDate } from '@bufbuild/protobuf/wkt';
import { type Image, ImageSchema } from '../../api/gen/kiln_images_pb.js';
import { formatPlatform } from '../../base/platform.ts';
import type { KeptImage } from '../../exporter/image/image-store.ts';
import type { Descriptor } from '../../oci/descriptor.ts';
import type { ImageDocuments, PlatformImage } from '../../oci/image-documents.ts';

const predicateType = 'in-toto.io/predicate-type';

/** `full`: with the configs of its platforms. */
export function imageToMessage(
  image: KeptImage,
  documents: ImageDocuments,
  { full }: { readonly full: boolean },
): Image {
  const { manifests, blobs, platforms } = documents;
  const everything = [...blobs, ...manifests.map(({ descriptor }) => descriptor)];
  return create(ImageSchema, {
    name: image.name,
    target: blobToMessage(image.target),
    createdAt: timestampFromDate(image.createdAt),
    pushed: image.isElsewhere,
    size: sizeOf(everything),
    platforms: platforms.map((each) => platformToMessage(each, documents, full)),
  });
}

function platformToMessage(
  { platform, manifest, config, layers }: PlatformImage,
  { attestations }: ImageDocuments,
  full: boolean,
) {
  return {
    platform: formatPlatform(platform),
    manifest: blobToMessage(manifest),
    config: blobToMessage(config.descriptor),
    layers: layers.map(blobToMessage),
    size: sizeOf([manifest, config.descriptor, ...layers]),
    attestations: attestations
      .filter(({ subject }) => subject === manifest.digest)
      .flatMap(({ statements }) => statements.map(blobToMessage)),
    configDocument: full ? config.bytes : new Uint8Array(),
  };
}

function blobToMessage({ digest, size, mediaType, annotations = {} }: Descriptor) {
  return { digest, size: BigInt(size), mediaType, predicateType: annotations[predicateType] ?? '' };
}

function sizeOf(blobs: readonly Descriptor[]): bigint {
  return BigInt(blobs.reduce((sum, { size }) => sum + size, 0));
}
