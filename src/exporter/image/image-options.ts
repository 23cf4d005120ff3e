import { KilnError } from '../../base/errors.ts';
import { type Attributes, booleanAttribute } from '../../base/text/attributes.ts';
import {
  type CompressionOptions,
  parseCompressionOptions,
} from '../../layer-blob/compression/compression-options.ts';
import type { MediaTypeFamily } from '../../oci/media-type.ts';
import { type EpochOption, parseEpoch } from '../epoch.ts';
import type { ExportInput } from '../exporter.ts';
import { type Annotation, parseAnnotations } from './annotations.ts';
import { type AttributeMetadata, parseAttributeMetadata } from './attribute-metadata.ts';

/** What the outputs that make images have in common. */
export interface ImageOptions {
  /** Undefined leaves them to the frontend. */
  readonly names: readonly string[] | undefined;
  readonly metadata: AttributeMetadata;
  readonly compression: CompressionOptions;
  readonly mediaTypes: MediaTypeFamily;
  /** Write attestations as artifacts instead of images for no platform. */
  readonly ociArtifact: boolean;
  /** Write an index for attestations, too, that are for inside of images only. */
  readonly inlineAttestations: boolean;
  readonly annotations: readonly Annotation[];
  readonly epoch: EpochOption;
  /** Clamp the times of files inside layers, too. */
  readonly rewriteTimestamp: boolean;
}

/** Throws `invalid_argument` for values, `unimplemented` for known ones that Kiln cannot do. */
export function parseImageOptions(
  attributes: Attributes,
  defaults: Pick<ImageOptions, 'inlineAttestations'> = { inlineAttestations: true },
): ImageOptions {
  const ociMediaTypes = booleanAttribute(attributes, 'oci-mediatypes') ?? true;
  const ociArtifact = booleanAttribute(attributes, 'oci-artifact') ?? ociMediaTypes;
  if (ociArtifact && !ociMediaTypes) {
    throw new KilnError(
      'invalid_argument',
      'exporter option "oci-artifact=true" conflicts with "oci-mediatypes=false"',
    );
  }
  const annotations = parseAnnotations(Object.entries(attributes));
  if (!ociMediaTypes && annotations.some((each) => each.target !== 'manifest')) {
    throw new KilnError('invalid_argument', 'cannot export annotations with "oci-mediatypes=false"');
  }
  return {
    names: attributes.name === '*' ? undefined : splitNames(attributes.name ?? ''),
    metadata: parseAttributeMetadata(attributes),
    compression: parseCompressionOptions(attributes),
    mediaTypes: ociMediaTypes ? 'oci' : 'docker',
    ociArtifact,
    inlineAttestations: booleanAttribute(attributes, 'attestation-inline') ?? defaults.inlineAttestations,
    annotations,
    epoch: parseEpoch(attributes),
    rewriteTimestamp: booleanAttribute(attributes, 'rewrite-timestamp') ?? false,
  };
}

/** The names to give: the output's, or the frontend's (`image.name`) when the output left them to it. */
export function namesOf(options: ImageOptions, metadata: ExportInput['metadata']): readonly string[] {
  if (options.names) return options.names;
  const chosen = metadata['image.name'];
  return chosen ? splitNames(Buffer.from(chosen).toString('utf8')) : ['*'];
}

function splitNames(text: string): readonly string[] {
  return text.split(',').filter((name) => name !== '');
}
