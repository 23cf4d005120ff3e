import { mapLimit } from '../../base/async/lifetime.ts';
import { digestOf } from '../../base/digest.ts';
import { KilnError } from '../../base/errors.ts';
import { formatPlatform } from '../../base/platform.ts';
import { withStatus } from '../../base/progress.ts';
import { type ContentStore, writeBlob } from '../../content/content.ts';
import { type Descriptor, mediaTypes } from '../../oci/descriptor.ts';
import { isInternalAnnotation } from '../../oci/layer-identity.ts';
import { encodeManifest } from '../../oci/manifest.ts';
import { layerMediaType } from '../../oci/media-type.ts';
import type { ImmutableRef, LayerBlob, RefStore } from '../../ref/ref.ts';
import { epochFor } from '../epoch.ts';
import type { ExportContext, ExportInput, PlatformResult } from '../exporter.ts';
import { annotationsFor, parseAnnotations } from './annotations.ts';
import { completeImageConfig } from './complete-image-config.ts';
import type { ImageOptions } from './image-options.ts';

/** A document of an image, with its bytes. */
export interface ImageDocument {
  readonly descriptor: Descriptor;
  readonly bytes: Uint8Array;
}

/** One platform's image as it was written. */
export interface WrittenPlatform {
  readonly manifest: ImageDocument;
  readonly config: ImageDocument;
  readonly ref: ImmutableRef | undefined;
  /** As the manifest lists them, except that internal annotations are still there. */
  readonly layers: readonly LayerBlob[];
}

/** An image whose documents are in the content store; its layers are where `RefStore.blobs` left them. */
export interface WrittenImage {
  /** The manifest of a plain image, the index of one for several platforms. */
  readonly root: ImageDocument;
  readonly platforms: readonly WrittenPlatform[];
}

/** What exporters need of the ref store. */
export type LayerSource = Pick<RefStore, 'blobs' | 'ensureBlob'>;

export interface ImageWriterServices {
  readonly content: ContentStore;
  readonly refStore: LayerSource;
}

/** Platforms whose layers are made at the same time; the ref store limits the work inside. */
const platformsAtOnce = 4;

/** Makes the layers, configs, manifests and (for several platforms) the index of a build's result. */
export async function writeImage(
  input: ExportInput,
  options: ImageOptions,
  { content, refStore }: ImageWriterServices,
  context: ExportContext,
): Promise<WrittenImage> {
  const { progress, signal } = context;
  const multiPlatform = isMultiPlatform(input);
  const annotations = [...parseAnnotations(metadataText(input)), ...options.annotations];
  const unknown = annotations.find(
    ({ platform }) =>
      platform !== undefined && !input.results.some((result) => formatPlatform(result.platform) === platform),
  );
  if (unknown) {
    throw new KilnError(
      'invalid_argument',
      `invalid annotation: no platform ${unknown.platform} found in source`,
    );
  }
  if (!multiPlatform && annotations.some(({ target }) => target.startsWith('index'))) {
    throw new KilnError('invalid_argument', 'index annotations not supported for single platform export');
  }

  const layers = await withStatus(progress, 'exporting layers', () =>
    mapLimit(
      input.results,
      platformsAtOnce,
      (result, _index, each) => layersOf(result, input, options, refStore, { ...context, signal: each }),
      signal,
    ),
  );

  const platforms: WrittenPlatform[] = [];
  for (const [index, result] of input.results.entries()) {
    const blobs = layers[index]!;
    const config = describe(
      options.ociMediaTypes ? mediaTypes.ociConfig : mediaTypes.dockerConfig,
      completeImageConfig({
        config: result.config,
        platform: result.platform,
        layers: withHistory(blobs, result.ref),
        baseConfig: forPlatform(input, 'containerimage.base.config', result.key),
        epoch: epochFor(options.epoch, input.metadata, formatPlatform(result.platform)),
        inlineCache: await result.inlineCache?.(blobs.map((blob) => blob.descriptor)),
      }),
    );
    const manifestType = options.ociMediaTypes ? mediaTypes.ociManifest : mediaTypes.dockerManifest;
    const manifest = describe(
      manifestType,
      encodeManifest({
        kind: 'manifest',
        mediaType: manifestType,
        config: config.descriptor,
        layers: blobs.map((blob) => publishedLayer(blob.descriptor, options)),
        annotations: annotationsFor(annotations, 'manifest', result.platform),
      }),
      {
        platform: result.platform,
        annotations: annotationsFor(annotations, 'manifest-descriptor', result.platform),
      },
    );
    await store('manifest', manifest);
    await store('config', config);
    platforms.push({ manifest, config, ref: result.ref, layers: blobs });
  }
  if (!multiPlatform) return { root: platforms[0]!.manifest, platforms };

  const indexType = options.ociMediaTypes ? mediaTypes.ociIndex : mediaTypes.dockerManifestList;
  const root = describe(
    indexType,
    encodeManifest({
      kind: 'index',
      mediaType: indexType,
      manifests: platforms.map(({ manifest }) => manifest.descriptor),
      annotations: annotationsFor(annotations, 'index'),
    }),
    { annotations: annotationsFor(annotations, 'index-descriptor') },
  );
  await store('manifest list', root);
  return { root, platforms };

  async function store(what: string, { descriptor, bytes }: ImageDocument): Promise<void> {
    await withStatus(progress, `exporting ${what} ${descriptor.digest}`, () =>
      writeBlob(content, bytes, { digest: descriptor.digest, size: descriptor.size }),
    );
  }
}

/** Results are named by platform, unless the build has one result without a name. */
export function isMultiPlatform(input: ExportInput): boolean {
  return input.results.some((result) => result.key !== '');
}

function layersOf(
  result: PlatformResult,
  input: ExportInput,
  options: ImageOptions,
  refStore: LayerSource,
  { signal, progress }: ExportContext,
): Promise<readonly LayerBlob[]> {
  if (!result.ref) return Promise.resolve([]);
  const epoch = epochFor(options.epoch, input.metadata, formatPlatform(result.platform));
  return refStore.blobs(result.ref, {
    compression: options.compression,
    level: options.compressionLevel,
    force: options.forceCompression,
    epoch: options.rewriteTimestamp ? epoch : undefined,
    ociMediaTypes: options.ociMediaTypes,
    signal,
    progress,
  });
}

/** What the ref store knows of how each layer was made, counted from the top: lower layers may share a record. */
function withHistory(blobs: readonly LayerBlob[], ref: ImmutableRef | undefined): readonly LayerBlob[] {
  const infos = ref?.layers() ?? [];
  const offset = infos.length - blobs.length;
  return blobs.map((blob, index) => ({
    ...blob,
    createdAt: blob.createdAt ?? infos[index + offset]?.createdAt,
    description: blob.description ?? infos[index + offset]?.description,
  }));
}

function describe(mediaType: string, bytes: Uint8Array, extra: Partial<Descriptor> = {}): ImageDocument {
  return { descriptor: { mediaType, digest: digestOf(bytes), size: bytes.length, ...extra }, bytes };
}

/** A layer as others may see it: Docker's documents have no annotations, and the engine's own say nothing to anybody. */
function publishedLayer(descriptor: Descriptor, options: ImageOptions): Descriptor {
  const annotations = options.ociMediaTypes
    ? Object.entries(descriptor.annotations ?? {}).filter(([key]) => !isInternalAnnotation(key))
    : [];
  return {
    mediaType: layerMediaType(descriptor.mediaType, options.ociMediaTypes ? 'oci' : 'docker'),
    digest: descriptor.digest,
    size: descriptor.size,
    urls: descriptor.urls,
    annotations: Object.fromEntries(annotations),
  };
}

function forPlatform(input: ExportInput, key: string, platformKey: string): Uint8Array | undefined {
  return input.metadata[`${key}/${platformKey}`] ?? input.metadata[key];
}

function* metadataText(input: ExportInput): Iterable<readonly [string, string]> {
  for (const [key, value] of Object.entries(input.metadata)) {
    if (key.startsWith('annotation')) yield [key, Buffer.from(value).toString('utf8')];
  }
}
