import { timestampDate } from '@bufbuild/protobuf/wkt';
import type { Blob, Image, ImagePlatform } from '../../api/gen/kiln_images_pb.js';

/** An image for programs; sizes are in bytes, `config` is the document itself and there only if it was asked for. */
export function imageJson({ name, target, createdAt, pushed, size, platforms }: Image): object {
  return {
    name,
    ...(target && blobJson(target)),
    createdAt: createdAt && timestampDate(createdAt),
    totalSize: Number(size),
    pushed,
    platforms: platforms.map(platformJson),
  };
}

function platformJson(image: ImagePlatform): object {
  return {
    platform: image.platform,
    totalSize: Number(image.size),
    manifest: image.manifest && blobJson(image.manifest),
    configDescriptor: image.config && blobJson(image.config),
    layers: image.layers.map(blobJson),
    attestations: image.attestations.map(blobJson),
    config: image.configDocument.length > 0 ? configJson(image) : undefined,
  };
}

/** The config, which the engine has parsed before. */
export function configJson({ configDocument }: ImagePlatform): unknown {
  return JSON.parse(Buffer.from(configDocument).toString('utf8'));
}

function blobJson({ digest, size, mediaType, predicateType }: Blob): object {
  return { digest, mediaType, size: Number(size), predicateType: predicateType || undefined };
}
