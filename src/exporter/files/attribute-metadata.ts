import { formatPlatform } from '../../base/platform.ts';
import type { Attributes } from '../attributes.ts';
import type { ExportInput } from '../exporter.ts';

const configKey = 'containerimage.config';

/** What the output says goes over what the frontend said: attributes may also be metadata, an image config for example. */
export function withAttributeMetadata(input: ExportInput, attributes: Attributes): ExportInput {
  const given = Object.fromEntries(
    Object.entries(attributes).map(([key, value]) => [key, Buffer.from(value)] as const),
  );
  return {
    metadata: { ...input.metadata, ...given },
    results: input.results.map((result) => ({
      ...result,
      config: given[`${configKey}/${formatPlatform(result.platform)}`] ?? given[configKey] ?? result.config,
    })),
  };
}
