import { goJson } from '../../base/json/go-json.ts';
import type { Descriptor } from '../../oci/descriptor.ts';
import { descriptorToJson, parseDescriptor } from '../../oci/manifest.ts';
import type { WrittenImage } from './image-writer.ts';

const descriptorKey = 'containerimage.descriptor';

/** The image that a response describes; undefined when it describes none. */
export function responseDescriptor(response: Readonly<Record<string, string>>): Descriptor | undefined {
  const text = response[descriptorKey];
  return text === undefined
    ? undefined
    : parseDescriptor(JSON.parse(Buffer.from(text, 'base64').toString('utf8')), descriptorKey);
}

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
    [descriptorKey]: Buffer.from(goJson(descriptorToJson(descriptor))).toString('base64'),
    ...(names.length > 0 ? { 'image.name': names.join(',') } : {}),
  };
}
