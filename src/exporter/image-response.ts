import { goJson } from '../base/go-json.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import { descriptorToJson } from '../oci/manifest.ts';
import type { WrittenImage } from './image-writer.ts';

/** What clients are told about an image: its digests and, in base64, the JSON of its descriptor. */
export function imageResponse(
  image: WrittenImage,
  descriptor: Descriptor,
  names: readonly string[],
): Record<string, string> {
  const single = image.root === image.platforms[0]?.manifest ? image.platforms[0] : undefined;
  return {
    'containerimage.digest': descriptor.digest,
    ...(single ? { 'containerimage.config.digest': single.config.descriptor.digest } : {}),
    'containerimage.descriptor': Buffer.from(goJson(descriptorToJson(descriptor))).toString('base64'),
    ...(names.length > 0 ? { 'image.name': names.join(',') } : {}),
  };
}
