import { KilnError } from '../../base/errors.ts';
import { type Attributes, booleanAttribute, integerAttribute } from '../../base/text/attributes.ts';
import type { LayerFormat } from '../../oci/estargz.ts';
import { compressionLevels } from './compression-levels.ts';

/** How the layers of an output are compressed. */
export interface CompressionOptions {
  readonly compression: LayerFormat;
  /** Of the format's own scale; undefined for its default. */
  readonly level?: number;
  /** Compress again what is there in another format. */
  readonly force: boolean;
}

/** Throws `invalid_argument` for values, `unimplemented` for known formats that Kiln cannot write. */
export function parseCompressionOptions(attributes: Attributes): CompressionOptions {
  const compression = parseFormat(attributes.compression);
  return {
    compression,
    level: parseLevel(attributes, compression),
    force: booleanAttribute(attributes, 'force-compression') ?? false,
  };
}

function parseFormat(text: string | undefined): LayerFormat {
  switch (text) {
    case undefined:
      return 'gzip';
    case 'gzip':
    case 'zstd':
    case 'uncompressed':
    case 'estargz':
      return text;
    case 'nydus':
      throw new KilnError('unimplemented', `compression=${text} is not supported`, {
        hint: 'use uncompressed, gzip, zstd or estargz',
      });
    default:
      throw new KilnError('invalid_argument', `unsupported compression type ${JSON.stringify(text)}`, {
        hint: 'use uncompressed, gzip, zstd or estargz',
      });
  }
}

function parseLevel(attributes: Attributes, compression: LayerFormat): number | undefined {
  const level = integerAttribute(attributes, 'compression-level');
  if (level === undefined) return undefined;
  const { lowest, highest } = compressionLevels[compression === 'zstd' ? 'zstd' : 'gzip'];
  if (level < lowest || level > highest) {
    throw new KilnError(
      'invalid_argument',
      `compression-level ${level} is out of range for ${compression}: ${lowest} to ${highest}`,
    );
  }
  return level;
}
