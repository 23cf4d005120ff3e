import { mapLimit } from '../../base/async/lifetime.ts';
import { KilnError } from '../../base/errors.ts';
import { formatPlatform } from '../../base/platform.ts';
import { withStatus } from '../../base/progress.ts';
import { writeBlob } from '../../content/content.ts';
import type { Descriptor } from '../../oci/descriptor.ts';
import { documentOf, type ImageDocument } from '../../oci/image-document.ts';
import { withDistribution } from '../../oci/layer-distribution.ts';
import { isInternalAnnotation } from '../../oci/layer-identity.ts';
import { encodeManifest, type Index, type Manifest } from '../../oci/manifest.ts';
import { documentTypes, type MediaTypeFamily } from '../../oci/media-type.ts';
import type { LayerExport } from '../../ref/layer-export.ts';
import type { ImmutableRef, LayerBlob } from '../../ref/ref.ts';
import { epochFor } from '../epoch.ts';
import { type ExportContext, type ExportInput, isMultiPlatform, type PlatformResult } from '../exporter.ts';
import { type Annotation, annotationsFor, parseAnnotations } from './annotations.ts';
import { attest } from './attest.ts';
import type { WrittenAttestations } from './attestation-manifest.ts';
import { completeImageConfig } from './complete-image-config.ts';
import { type ImageOptions, namesOf } from './image-options.ts';
import type { SbomServices } from './supplement-sbom.ts';

/** One platform's image as it was written. */
export interface WrittenPlatform {
  readonly manifest: ImageDocument;
  readonly config: ImageDocument;
  /** As the manifest lists them, except that internal annotations are still there. */
  readonly layers: readonly LayerBlob[];
  readonly attestations: WrittenAttestations | undefined;
}

/** An image whose documents are in the content store; its layers are where `LayerExport.blobs` left them. */
export interface WrittenImage {
  /** The manifest of a plain image, the index of one for several platforms or with attestations. */
  readonly root: ImageDocument;
  readonly platforms: readonly WrittenPlatform[];
}

export type ImageWriterServices = SbomServices;

/** Platforms whose layers are made at the same time; the ref store limits the work inside. */
const platformsAtOnce = 4;

/**
 * Makes the layers, configs, manifests and (for several platforms, or with attestations) the index of a build's result. Throws
 * `invalid_argument`.
 */
export async function writeImage(
  input: ExportInput,
  options: ImageOptions,
  services: ImageWriterServices,
  context: ExportContext,
): Promise<WrittenImage> {
  const { content, layerExport } = services;
  const { progress, signal } = context;
  const isIndex = needsIndex(input, options);
  const annotations = imageAnnotations(input, options, isIndex);
  const layers = await withStatus(progress, 'exporting layers', () =>
    mapLimit(
      input.results,
      platformsAtOnce,
      (result, _index, each) => layersOf(result, input, options, layerExport, { ...context, signal: each }),
      signal,
    ),
  );
  context.onLayersMade?.();
  const caches = await inlineCaches(input, context);
  const store = async (what: string, { descriptor, bytes }: ImageDocument): Promise<void> => {
    await withStatus(progress, `exporting ${what} ${descriptor.digest}`, () =>
      writeBlob(content, bytes, { digest: descriptor.digest, size: descriptor.size }),
    );
  };
  const names = namesOf(options, input.metadata);
  const platforms: WrittenPlatform[] = [];
  for (const [index, result] of input.results.entries()) {
    const made = { layers: layers[index]!, inlineCache: caches[index] };
    const platform = describePlatform(result, made, input, options, annotations);
    await store('manifest', platform.manifest);
    await store('config', platform.config);
    const attestations =
      isIndex && options.mediaTypes === 'oci'
        ? await attest(result, platform, { ...options, names }, services, context)
        : undefined;
    platforms.push({ ...platform, attestations });
  }
  if (!isIndex) return { root: platforms[0]!.manifest, platforms };

  const root = encoded(
    {
      kind: 'index',
      mediaType: documentTypes[options.mediaTypes].index,
      manifests: [
        ...platforms.map(({ manifest }) => manifest.descriptor),
        ...platforms.flatMap(({ attestations }) => attestations?.manifest.descriptor ?? []),
      ],
      annotations: annotationsFor(annotations, 'index'),
    },
    { annotations: annotationsFor(annotations, 'index-descriptor') },
  );
  await store('manifest list', root);
  return { root, platforms };
}

/** What the config of each platform says as a cache. */
async function inlineCaches(
  { results }: ExportInput,
  { progress, signal }: ExportContext,
): Promise<readonly (Uint8Array | undefined)[]> {
  if (!results.some(({ inlineCache }) => inlineCache)) return [];
  return await withStatus(progress, 'preparing layers for inline cache', () =>
    Promise.all(results.map(async ({ inlineCache }) => await inlineCache?.(signal))),
  );
}

/**
 * Attestations are beside the manifests that they are about. Those for inside of images only make no index elsewhere. Docker's documents have no place
 * for any: those that were not insisted on are left out. Throws `invalid_argument` for others.
 */
function needsIndex(input: ExportInput, options: ImageOptions): boolean {
  const attestations = input.results.flatMap((result) => result.attestations);
  if (options.mediaTypes === 'oci') {
    return (
      isMultiPlatform(input) ||
      attestations.some(({ inlineOnly }) => options.inlineAttestations || !inlineOnly)
    );
  }
  if (attestations.every(({ inlineOnly }) => inlineOnly)) return isMultiPlatform(input);
  throw new KilnError('invalid_argument', 'cannot export attestations with "oci-mediatypes=false"');
}

/** The frontend's annotations and after them the output's. Throws `invalid_argument` for those that fit nothing in the image. */
function imageAnnotations(
  input: ExportInput,
  options: ImageOptions,
  isIndex: boolean,
): readonly Annotation[] {
  const annotations = [...parseAnnotations(metadataText(input)), ...options.annotations];
  // Whoever builds for one platform of several may still name the others.
  const unknown = annotations.find(
    ({ platform }) =>
      platform !== undefined &&
      isMultiPlatform(input) &&
      !input.results.some((result) => formatPlatform(result.platform) === platform),
  );
  if (unknown) {
    throw new KilnError(
      'invalid_argument',
      `invalid annotation: no platform ${unknown.platform} found in source`,
    );
  }
  if (!isIndex && annotations.some(({ target }) => target.startsWith('index'))) {
    throw new KilnError('invalid_argument', 'index annotations not supported for single platform export');
  }
  return annotations;
}

async function layersOf(
  result: PlatformResult,
  input: ExportInput,
  options: ImageOptions,
  layerExport: LayerExport,
  { signal, progress }: ExportContext,
): Promise<readonly LayerBlob[]> {
  if (!result.ref) return [];
  const layers = await layerExport.blobs(result.ref, {
    ...options.compression,
    epoch: options.rewriteTimestamp ? epochOf(result, input, options) : undefined,
    mediaTypes: options.mediaTypes,
    signal,
    progress,
  });
  return layers.map((layer) => ({
    ...layer,
    descriptor: withDistribution(layer.descriptor, options.preferNondistributable),
  }));
}

/** One platform's config and manifest. */
function describePlatform(
  result: PlatformResult,
  { layers, inlineCache }: { readonly layers: readonly LayerBlob[]; readonly inlineCache?: Uint8Array },
  input: ExportInput,
  options: ImageOptions,
  annotations: readonly Annotation[],
): Omit<WrittenPlatform, 'attestations'> {
  const { ref, platform } = result;
  const types = documentTypes[options.mediaTypes];
  const config = documentOf(
    types.config,
    completeImageConfig({
      config: result.config,
      platform,
      layers: withHistory(layers, ref),
      baseConfig: forPlatform(input, 'containerimage.base.config', result.key),
      epoch: epochOf(result, input, options),
      inlineCache,
    }),
  );
  const manifest = encoded(
    {
      kind: 'manifest',
      mediaType: types.manifest,
      config: config.descriptor,
      layers: layers.map((layer) => publishedLayer(layer.descriptor, options.mediaTypes)),
      annotations: annotationsFor(annotations, 'manifest', platform),
    },
    { platform, annotations: annotationsFor(annotations, 'manifest-descriptor', platform) },
  );
  return { manifest, config, layers };
}

function epochOf({ platform }: PlatformResult, input: ExportInput, { epoch }: ImageOptions) {
  return epochFor(epoch, input.metadata, formatPlatform(platform));
}

/** Adds how each layer was made, as the ref store knows it. Counted from the top, since lower layers may share a record. */
function withHistory(blobs: readonly LayerBlob[], ref: ImmutableRef | undefined): readonly LayerBlob[] {
  const infos = ref?.layers() ?? [];
  const offset = infos.length - blobs.length;
  return blobs.map((blob, index) => ({
    ...blob,
    createdAt: blob.createdAt ?? infos[index + offset]?.createdAt,
    description: blob.description ?? infos[index + offset]?.description,
  }));
}

function encoded(manifest: Manifest | Index, extra: Partial<Descriptor>): ImageDocument {
  return documentOf(manifest.mediaType, encodeManifest(manifest), extra);
}

/** A layer as others may see it: Docker's documents have no annotations, and the engine's own say nothing to anybody. */
function publishedLayer(descriptor: Descriptor, family: MediaTypeFamily): Descriptor {
  const { mediaType, digest, size, urls, annotations = {} } = descriptor;
  const published =
    family === 'oci' ? Object.entries(annotations).filter(([key]) => !isInternalAnnotation(key)) : [];
  return { mediaType, digest, size, urls, annotations: Object.fromEntries(published) };
}

function forPlatform(input: ExportInput, key: string, platformKey: string): Uint8Array | undefined {
  return input.metadata[`${key}/${platformKey}`] ?? input.metadata[key];
}

function* metadataText(input: ExportInput): Iterable<readonly [string, string]> {
  for (const [key, value] of Object.entries(input.metadata)) {
    if (key.startsWith('annotation')) yield [key, Buffer.from(value).toString('utf8')];
  }
}
