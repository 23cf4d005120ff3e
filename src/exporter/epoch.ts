import { KilnError } from '../base/errors.ts';
import { type Attributes, integerAttribute } from '../base/text/attributes.ts';
import type { ExportInput } from './exporter.ts';

const attribute = 'source-date-epoch';
const metadataKey = 'source.date.epoch';

/**
 * SOURCE_DATE_EPOCH as the output has it: `set` with a time in seconds since 1970, `set` without one (an empty value: no
 * clamping, whatever the frontend says), or left to the frontend.
 */
export type EpochOption =
  | { readonly kind: 'set'; readonly seconds: number | undefined }
  | { readonly kind: 'frontend' };

/** Throws `invalid_argument`. */
export function parseEpoch(attributes: Attributes): EpochOption {
  if (attributes[attribute] === undefined) return { kind: 'frontend' };
  return { kind: 'set', seconds: integerAttribute(attributes, attribute) };
}

/** The time to clamp to for one platform, in seconds since 1970. */
export function epochFor(
  option: EpochOption,
  metadata: ExportInput['metadata'],
  platformKey: string,
): number | undefined {
  if (option.kind === 'set') return option.seconds;
  const value = metadata[`${metadataKey}/${platformKey}`] ?? metadata[metadataKey];
  const text = value === undefined ? '' : Buffer.from(value).toString('utf8');
  if (text === '') return undefined;
  if (!/^-?\d+$/.test(text)) {
    throw new KilnError(
      'invalid_argument',
      `invalid SOURCE_DATE_EPOCH from frontend: ${JSON.stringify(text)}`,
    );
  }
  return Number(text);
}
