import { KilnError } from '../../base/errors.ts';
import { type Attributes, booleanAttribute } from '../../base/text/attributes.ts';
import { parseGoBool } from '../../base/text/go-bool.ts';
import {
  type CompressionOptions,
  parseCompressionOptions,
} from '../../layer-blob/compression/compression-options.ts';
import type { MediaTypeFamily } from '../../oci/media-type.ts';
import type { CacheMode } from './collect-records.ts';

/** The options that all types of exports have. */
export interface CacheExportOptions {
  readonly mode: CacheMode;
  readonly ignoreError: boolean;
  readonly compression: CompressionOptions;
  /** An image manifest rather than an index. */
  readonly imageManifest: boolean;
  readonly mediaTypes: MediaTypeFamily;
}

/** Throws `invalid_argument`. As in BuildKit, an unknown `mode` counts as `min`, and what `ignore-error` does not say as false. */
export function parseCacheExportOptions(attributes: Attributes): CacheExportOptions {
  const oci = booleanAttribute(attributes, 'oci-mediatypes') ?? true;
  const imageManifest = booleanAttribute(attributes, 'image-manifest') ?? oci;
  if (imageManifest && !oci) {
    throw new KilnError(
      'invalid_argument',
      'invalid configuration for remote cache, OCI mediatypes are required for image-manifest cache format',
    );
  }
  return {
    mode: attributes.mode === 'max' ? 'max' : 'min',
    ignoreError: parseGoBool(attributes['ignore-error'] ?? '') ?? false,
    compression: parseCompressionOptions(attributes),
    imageManifest,
    mediaTypes: oci ? 'oci' : 'docker',
  };
}
