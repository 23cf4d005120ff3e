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

/** What the outputs that make images have in common, as they ask for it. */
export interface AskedImageOptions {
  /** Undefined leaves them to the frontend. */
  readonly names: readonly string[] | undefined;
  readonly metadata: AttributeMetadata;
  readonly compression: CompressionOptions;
  /** Undefined leaves them to the build: see `settleImageOptions`. */
  readonly mediaTypes: MediaTypeFamily | undefined;
  /** Write attestations as artifacts instead of images for no platform. Undefined: where the media types are OCI's. */
  readonly ociArtifact: boolean | undefined;
  /** Leave layers where their publisher put them, if it says where; they become like others otherwise. */
  readonly preferNondistributable: boolean;
  /** Write an index for attestations, too, that are for inside of images only. */
  readonly inlineAttestations: boolean;
  readonly annotations: readonly Annotation[];
  readonly epoch: EpochOption;
  /** Clamp the times of files inside layers, too. */
  readonly rewriteTimestamp: boolean;
}

/** What an image is made by. */
export interface ImageOptions extends AskedImageOptions {
  readonly mediaTypes: MediaTypeFamily;
  readonly ociArtifact: boolean;
}

/** Throws `invalid_argument` for values, `unimplemented` for known ones that Kiln cannot do. */
export function parseImageOptions(
  attributes: Attributes,
  defaults: Pick<ImageOptions, 'inlineAttestations'> = { inlineAttestations: true },
): AskedImageOptions {
  const compression = parseCompressionOptions(attributes);
  // Where the TOC of a layer is, is in annotations, which Docker's documents do not have.
  const ociMediaTypes =
    compression.compression === 'estargz' || booleanAttribute(attributes, 'oci-mediatypes');
  const options: AskedImageOptions = {
    names: attributes.name === '*' ? undefined : splitNames(attributes.name ?? ''),
    metadata: parseAttributeMetadata(attributes),
    compression,
    mediaTypes: ociMediaTypes === undefined ? undefined : ociMediaTypes ? 'oci' : 'docker',
    ociArtifact: booleanAttribute(attributes, 'oci-artifact'),
    preferNondistributable: booleanAttribute(attributes, 'prefer-nondist-layers') ?? false,
    inlineAttestations: booleanAttribute(attributes, 'attestation-inline') ?? defaults.inlineAttestations,
    annotations: parseAnnotations(Object.entries(attributes)),
    epoch: parseEpoch(attributes),
    rewriteTimestamp: booleanAttribute(attributes, 'rewrite-timestamp') ?? false,
  };
  checkMediaTypes(options);
  return options;
}

/** The first version of the ways in which BuildKit makes results whose images have OCI's media types by default: that of BuildKit 0.31. */
const ociByDefault = 30;
/** The one of BuildKit 0.13. */
const withoutZstd = 10;

/**
 * Decides what an output left to the build: older ways to make results write Docker's media types, where there are no
 * attestations, and these as images. Throws `invalid_argument` for what does not go together then.
 */
export function settleImageOptions(
  asked: AskedImageOptions,
  { compatibilityVersion = ociByDefault, results }: ExportInput,
  format: 'image' | 'oci' | 'docker',
): ImageOptions {
  const isRecent = compatibilityVersion >= ociByDefault;
  if (compatibilityVersion === withoutZstd && asked.compression.compression === 'zstd') {
    throw new KilnError(
      'invalid_argument',
      `unsupported compatibility-version ${compatibilityVersion} feature ${format} exporter compression=zstd`,
    );
  }
  const isOci = isRecent || format === 'oci' || results.some(({ attestations }) => attestations.length > 0);
  const mediaTypes = asked.mediaTypes ?? (isOci ? 'oci' : 'docker');
  const options = {
    ...asked,
    mediaTypes,
    ociArtifact: asked.ociArtifact ?? (isRecent && mediaTypes === 'oci'),
  };
  checkMediaTypes(options);
  return options;
}

function checkMediaTypes({ mediaTypes, ociArtifact, annotations }: AskedImageOptions): void {
  if (mediaTypes !== 'docker') return;
  if (ociArtifact) {
    throw new KilnError(
      'invalid_argument',
      'exporter option "oci-artifact=true" conflicts with "oci-mediatypes=false"',
    );
  }
  if (annotations.some((each) => each.target !== 'manifest')) {
    throw new KilnError('invalid_argument', 'cannot export annotations with "oci-mediatypes=false"');
  }
}

/** The names to give: the output's, or the frontend's (`image.name`) when the output left them to it. */
export function namesOf(options: AskedImageOptions, metadata: ExportInput['metadata']): readonly string[] {
  if (options.names) return options.names;
  const chosen = metadata['image.name'];
  return chosen ? splitNames(Buffer.from(chosen).toString('utf8')) : ['*'];
}

function splitNames(text: string): readonly string[] {
  return text.split(',').filter((name) => name !== '');
}
