import { inTurns } from '../../base/async/in-turns.ts';
import type { Digest } from '../../base/digest.ts';
import { KilnError } from '../../base/errors.ts';
import type { ContentStore } from '../../content/content.ts';
import type { Descriptor } from '../../oci/descriptor.ts';
import { parseImageConfig } from '../../oci/image-config.ts';
import { formFor, withLayerForm } from '../../oci/layer-identity.ts';
import { type Manifest, parseManifest } from '../../oci/manifest.ts';
import { isIndexType, isLayerType, isManifestType } from '../../oci/media-type.ts';
import type { LayerBlob } from '../../ref/ref.ts';
import {
  type CacheAccess,
  type CacheBackend,
  type CacheDocument,
  maxDocumentSize,
} from '../cache-backend.ts';
import {
  type CacheConfig,
  type ConfigLayer,
  cacheConfigType,
  inlineCacheField,
} from '../config/cache-config.ts';
import { parseCacheConfig, parseInlineRecords } from '../config/parse-cache-config.ts';
import { describedLayer } from '../described-layer.ts';

/** A cache as it is kept at some place. */
export interface ReadCache {
  readonly config: CacheConfig;
  /** What is known of the blobs of its layers. A layer whose blob is not among them cannot be had. */
  readonly blobs: ReadonlyMap<Digest, LayerBlob>;
}

/** Manifests that one cache may be spread over: the platforms of an image, and their attestations. */
const maxManifests = 256;
const maxNesting = 4;

export interface CacheReaderServices {
  /** Where configs are kept between builds. */
  readonly content: ContentStore;
}

/** Reads the caches that a document stands for: one, or that of each platform of an image. What the documents hold is checked (`invalid_argument`). */
export async function readCaches(
  document: CacheDocument,
  backend: CacheBackend,
  services: CacheReaderServices,
  access: CacheAccess,
): Promise<readonly ReadCache[]> {
  const what = `cache ${backend.place}`;
  checkSize(document.bytes.length, what);
  if (backend.form === 'config') {
    const config = await inTurns(parseCacheConfig(document.bytes, what));
    return [{ config, blobs: annotatedBlobs(config) }];
  }
  const reader = new ManifestReader(backend, services, access);
  return await reader.read(document.bytes, document.mediaType, what);
}

function annotatedBlobs({ layers }: CacheConfig): ReadonlyMap<Digest, LayerBlob> {
  const blobs = new Map<Digest, LayerBlob>();
  for (const { blob, annotations } of layers) {
    if (!annotations || !isLayerType(annotations.mediaType)) continue;
    const { mediaType, size, diffId, createdAt } = annotations;
    blobs.set(blob, { descriptor: { mediaType, digest: blob, size }, diffId, createdAt });
  }
  return blobs;
}

/** Reads the manifests of one document. */
class ManifestReader {
  readonly #backend: CacheBackend;
  readonly #content: ContentStore;
  readonly #access: CacheAccess;
  #manifests = 0;

  constructor(backend: CacheBackend, { content }: CacheReaderServices, access: CacheAccess) {
    this.#backend = backend;
    this.#content = content;
    this.#access = access;
  }

  async read(
    bytes: Uint8Array,
    mediaType: string | undefined,
    what: string,
    depth = 0,
  ): Promise<readonly ReadCache[]> {
    if (++this.#manifests > maxManifests || depth > maxNesting)
      throw new KilnError('invalid_argument', `cache ${this.#backend.place} has too many manifests`);
    const document = parseManifest(bytes, what, mediaType);
    const [config, layers] =
      document.kind === 'index'
        ? [document.manifests.find(isCacheConfig), document.manifests.filter((each) => !isCacheConfig(each))]
        : [isCacheConfig(document.config) ? document.config : undefined, document.layers];
    if (config) {
      const bytes = await this.#document(config);
      const parsed = await inTurns(parseCacheConfig(bytes, `${what}: config ${config.digest}`));
      return [{ config: parsed, blobs: describedBlobs(layers) }];
    }
    if (document.kind === 'manifest') return await this.#inline(document, what);
    const caches: ReadCache[] = [];
    const seen = new Set<Digest>();
    for (const manifest of document.manifests) {
      if (seen.has(manifest.digest) || !isNested(manifest)) continue;
      seen.add(manifest.digest);
      const nested = await this.#document(manifest);
      caches.push(
        ...(await this.read(nested, manifest.mediaType, `${what}: manifest ${manifest.digest}`, depth + 1)),
      );
    }
    return caches;
  }

  /** The cache inside an image; none if the image has none. */
  async #inline({ config: descriptor, layers }: Manifest, what: string): Promise<readonly ReadCache[]> {
    if (layers.length === 0 || !layers.every(({ mediaType }) => isLayerType(mediaType))) return [];
    const bytes = await this.#document(descriptor);
    const config = parseImageConfig(bytes, `${what}: config ${descriptor.digest}`);
    const encoded: unknown = JSON.parse(Buffer.from(bytes).toString('utf8'))[inlineCacheField];
    if (typeof encoded !== 'string' || config.diffIds.length !== layers.length) return [];
    const history = config.history.filter(({ empty_layer }) => !empty_layer);
    const form = formFor(config.platform);
    const blobs = layers.map((layer, index): LayerBlob => {
      const { created, created_by } = history[index] ?? {};
      const createdAt = new Date(created ?? Number.NaN);
      return {
        descriptor: withLayerForm(layer, form),
        diffId: config.diffIds[index]!,
        ...(!Number.isNaN(createdAt.getTime()) && { createdAt }),
        ...(typeof created_by === 'string' && { description: created_by }),
      };
    });
    const stacked = blobs.map(({ descriptor: { digest } }, index): ConfigLayer => {
      return { blob: digest, parent: index === 0 ? undefined : index - 1 };
    });
    const records = Buffer.from(encoded, 'base64');
    const parsed = await inTurns(parseInlineRecords(records, stacked, `${what}: cache of the image`));
    return [{ config: parsed, blobs: new Map(blobs.map((blob) => [blob.descriptor.digest, blob])) }];
  }

  /** A config or manifest, from the content store if it is there. */
  async #document(descriptor: Descriptor): Promise<Uint8Array> {
    checkSize(descriptor.size, `cache ${this.#backend.place}: ${descriptor.digest}`);
    if (!(await this.#content.stat(descriptor.digest)))
      await this.#backend.fetchBlob(descriptor, this.#content, this.#access);
    return await this.#content.readAll(descriptor.digest);
  }
}

function isCacheConfig({ mediaType }: Descriptor): boolean {
  return mediaType === cacheConfigType;
}

function isNested({ mediaType }: Descriptor): boolean {
  return isManifestType(mediaType) || isIndexType(mediaType);
}

/** The layers that a manifest describes well enough to be unpacked. */
function describedBlobs(layers: readonly Descriptor[]): ReadonlyMap<Digest, LayerBlob> {
  const blobs = new Map<Digest, LayerBlob>();
  for (const descriptor of layers) {
    const blob = describedLayer(descriptor);
    if (blob) blobs.set(descriptor.digest, blob);
  }
  return blobs;
}

function checkSize(size: number, what: string): void {
  if (size <= maxDocumentSize) return;
  throw new KilnError('invalid_argument', `${what} is too large (${size} > ${maxDocumentSize} bytes)`);
}
