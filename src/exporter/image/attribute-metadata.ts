import { formatPlatform } from '../../base/platform.ts';
import type { Attributes } from '../../base/text/attributes.ts';
import type { ExportInput } from '../exporter.ts';

const configKey = 'containerimage.config';

/** Metadata that the output itself gives, by key. */
export type AttributeMetadata = Readonly<Record<string, Uint8Array>>;

/** Any attribute may also be metadata, an image config for example. */
export function parseAttributeMetadata(attributes: Attributes): AttributeMetadata {
  return Object.fromEntries(
    Object.entries(attributes).map(([key, value]) => [key, Buffer.from(value)] as const),
  );
}

/** Adds the output's metadata, which replaces the frontend's where both have a key. */
export function withAttributeMetadata(input: ExportInput, given: AttributeMetadata): ExportInput {
  return {
    ...input,
    metadata: { ...input.metadata, ...given },
    results: input.results.map((result) => ({
      ...result,
      config: given[`${configKey}/${formatPlatform(result.platform)}`] ?? given[configKey] ?? result.config,
    })),
  };
}
