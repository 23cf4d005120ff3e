import { KilnError } from '../../base/errors.ts';
import type { Compression } from '../../oci/descriptor.ts';
import { type Attributes, booleanAttribute, integerAttribute } from '../attributes.ts';
import { type EpochOption, parseEpoch } from '../epoch.ts';
import type { ExportInput } from '../exporter.ts';
import { type Annotation, parseAnnotations } from './annotations.ts';

/** What the outputs that make images have in common. */
export interface ImageOptions {
  /** As given: comma-separated names, `*` for the frontend's choice, or empty. */
  readonly name: string;
  readonly compression: Compression;
  readonly compressionLevel?: number;
  readonly forceCompression: boolean;
  readonly ociMediaTypes: boolean;
  readonly annotations: readonly Annotation[];
  readonly epoch: EpochOption;
  /** Clamp the times of files inside layers, too. */
  readonly rewriteTimestamp: boolean;
}

/** Throws `invalid_argument` for values, `unimplemented` for known ones that Kiln cannot do. */
export function parseImageOptions(attributes: Attributes): ImageOptions {
  const ociMediaTypes = booleanAttribute(attributes, 'oci-mediatypes') ?? true;
  if (booleanAttribute(attributes, 'oci-artifact') && !ociMediaTypes) {
    throw new KilnError(
      'invalid_argument',
      'exporter option "oci-artifact=true" conflicts with "oci-mediatypes=false"',
    );
  }
  const annotations = parseAnnotations(Object.entries(attributes));
  if (!ociMediaTypes && annotations.some((each) => each.target !== 'manifest')) {
    throw new KilnError('invalid_argument', 'cannot export annotations with "oci-mediatypes=false"');
  }
  const compression = parseCompression(attributes.compression);
  return {
    name: attributes.name ?? '',
    compression,
    compressionLevel: parseLevel(attributes, compression),
    forceCompression: booleanAttribute(attributes, 'force-compression') ?? false,
    ociMediaTypes,
    annotations,
    epoch: parseEpoch(attributes),
    rewriteTimestamp: booleanAttribute(attributes, 'rewrite-timestamp') ?? false,
  };
}

function parseCompression(text: string | undefined): Compression {
  switch (text) {
    case undefined:
      return 'gzip';
    case 'gzip':
    case 'zstd':
    case 'uncompressed':
      return text;
    case 'estargz':
    case 'nydus':
      throw new KilnError('unimplemented', `compression=${text} is not supported`, {
        hint: 'use uncompressed, gzip or zstd',
      });
    default:
      throw new KilnError('invalid_argument', `unsupported compression type ${JSON.stringify(text)}`, {
        hint: 'use uncompressed, gzip or zstd',
      });
  }
}

function parseLevel(attributes: Attributes, compression: Compression): number | undefined {
  const level = integerAttribute(attributes, 'compression-level');
  const highest = compression === 'zstd' ? 22 : 9;
  if (level !== undefined && (level < 0 || level > highest)) {
    throw new KilnError(
      'invalid_argument',
      `compression-level ${level} is out of range for ${compression}: 0 to ${highest}`,
    );
  }
  return level;
}

/** The names to give: the frontend's `image.name` when the output asked for `*`. */
export function namesOf(options: ImageOptions, metadata: ExportInput['metadata']): readonly string[] {
  const chosen = metadata['image.name'];
  const text = options.name === '*' && chosen ? Buffer.from(chosen).toString('utf8') : options.name;
  return text.split(',').filter((name) => name !== '');
}
