import { type Digest, digestOf } from '../../base/digest.ts';
import { asKilnError } from '../../base/errors.ts';
import { goJson } from '../../base/json/go-json.ts';
import { type ProgressWriter, withStatus } from '../../base/progress.ts';
import type { BlobReadOptions, ContentStore } from '../../content/content.ts';
import { descriptorToJson, encodeManifest } from '../../oci/manifest.ts';
import { documentTypes } from '../../oci/media-type.ts';
import type { LayerExport } from '../../ref/layer-export.ts';
import type { ImmutableRef, LayerBlob } from '../../ref/ref.ts';
import type { CacheAccess, CacheBackend, WrittenDocument } from '../cache-backend.ts';
import { type CacheConfig, cacheConfigType } from '../config/cache-config.ts';
import { encodeCacheConfig } from '../config/encode-cache-config.ts';
import { layerAnnotations, layerDescriptor } from '../described-layer.ts';
import { BlobUploads } from './blob-uploads.ts';
import { type CacheContents, cacheContents } from './cache-contents.ts';
import type { CacheExportOptions } from './cache-export-options.ts';
import { type BuiltResult, collectRecords } from './collect-records.ts';

export interface CacheExportServices {
  readonly content: ContentStore;
  readonly layerExport: LayerExport;
}

export interface CacheExportContext {
  readonly signal: AbortSignal;
  readonly progress: ProgressWriter;
  /** Of the client that asked for the export; empty for none. */
  readonly sessionId: string;
}

/** An export of what a build found and made, to one place. */
export class CacheExport {
  /** The line in the progress. */
  readonly name: string;
  /** A failure is no failure of the build. */
  readonly ignoreError: boolean;
  readonly #backend: CacheBackend;
  readonly #options: CacheExportOptions;
  readonly #services: CacheExportServices;

  constructor(
    name: string,
    backend: CacheBackend,
    options: CacheExportOptions,
    services: CacheExportServices,
  ) {
    this.name = name;
    this.ignoreError = options.ignoreError;
    this.#backend = backend;
    this.#options = options;
    this.#services = services;
  }

  /**
   * Brings everything that is not there yet to the place: layers, each as soon as it is made, then the config, then what names them.
   * Returns what the client is told (`cache.manifest`).
   */
  async run(
    results: readonly BuiltResult[],
    context: CacheExportContext,
  ): Promise<Readonly<Record<string, string>>> {
    const { signal, progress, sessionId } = context;
    const access: CacheAccess = { signal, sessions: sessionId === '' ? [] : [sessionId] };
    await using held = new AsyncDisposableStack();
    const own = (ref: ImmutableRef) => held.defer(() => ref.release());
    await using uploads = new BlobUploads(this.#backend.uploads, signal);
    const sending: Sending = { uploads, progress, access };
    const prepare = async () => {
      const records = await collectRecords(results, this.#options.mode, own, uploads.signal);
      const { compression } = this.#options;
      const options = { ...compression, mediaTypes: 'oci', signal: uploads.signal, progress } as const;
      const send = (layer: LayerBlob) => this.#sendLayer(layer, sending);
      return await cacheContents(records, this.#services.layerExport, options, send);
    };
    const preparing = withStatus(progress, 'preparing build cache for export', prepare);
    const contents = await preparing.catch((error: unknown) => {
      // Blobs that cannot be sent end the preparation, too.
      throw uploads.failure?.error ?? error;
    });
    return await withStatus(progress, 'sending cache export', () =>
      this.#backend.form === 'manifest'
        ? this.#sendManifest(contents, sending)
        : this.#sendConfig(contents, sending),
    );
  }

  async #sendManifest(
    contents: CacheContents,
    { uploads, access, progress }: Sending,
  ): Promise<Readonly<Record<string, string>>> {
    if (contents.config.layers.length === 0) {
      await withStatus(progress, 'skipping cache export for empty result', async () => {});
      return {};
    }
    const config = documentOf(cacheConfigType, encodeCacheConfig(contents.config));
    uploads.add(config.descriptor.digest, (signal) =>
      withStatus(progress, `writing config ${config.descriptor.digest}`, () =>
        this.#send(config, { ...access, signal }, 'error writing config blob'),
      ),
    );
    const manifest = this.#manifest(contents, config);
    const { digest } = manifest.descriptor;
    // Asked while blobs are asked for, written after them.
    const { names } = this.#backend;
    const asked = { ...access, signal: uploads.signal };
    const current = Promise.all(names.map((name) => this.#isCurrent(name, digest, asked)));
    await uploads.finish();
    const line = this.#options.imageManifest ? 'writing cache image manifest' : 'writing cache manifest';
    await withStatus(progress, `${line} ${digest}`, async () => {
      for (const [index, isCurrent] of (await current).entries()) {
        if (isCurrent) continue;
        await said(
          'error writing manifest blob',
          this.#backend.writeDocument(names[index]!, manifest, access),
        );
      }
    });
    return { 'cache.manifest': goJson(descriptorToJson(manifest.descriptor)) };
  }

  /** Whether the document is this one already; a place that can be written to need not be readable. */
  async #isCurrent(name: string, digest: Digest, access: CacheAccess): Promise<boolean> {
    try {
      return (await this.#backend.readDocument(name, digest, access)) === 'unchanged';
    } catch {
      return false;
    }
  }

  #manifest({ config, blobs }: CacheContents, { descriptor }: WrittenDocument): WrittenDocument {
    const { imageManifest, mediaTypes } = this.#options;
    const layers = [...new Set(config.layers.map(({ blob }) => blob))].map((blob) =>
      layerDescriptor(blobs.get(blob)!, mediaTypes),
    );
    const types = documentTypes[mediaTypes];
    return imageManifest
      ? documentOf(
          types.manifest,
          encodeManifest({ kind: 'manifest', mediaType: types.manifest, config: descriptor, layers }, {}),
        )
      : documentOf(
          types.index,
          encodeManifest({ kind: 'index', mediaType: types.index, manifests: [...layers, descriptor] }, {}),
        );
  }

  async #sendConfig(
    contents: CacheContents,
    { uploads, access }: Sending,
  ): Promise<Readonly<Record<string, string>>> {
    await uploads.finish();
    const document = documentOf(cacheConfigType, encodeCacheConfig(annotated(contents)));
    for (const name of this.#backend.names)
      await said(`error writing manifest: ${name}`, this.#backend.writeDocument(name, document, access));
    return {};
  }

  #sendLayer(layer: LayerBlob, { uploads, access, progress }: Sending): void {
    const { content, layerExport } = this.#services;
    const { descriptor } = layer;
    uploads.add(descriptor.digest, async (signal) => {
      const each = { ...access, signal };
      if (await said('failed to check file presence in cache', this.#backend.hasBlob(descriptor, each)))
        return;
      const body = {
        open: async (opened: AbortSignal, options?: BlobReadOptions) => {
          await layerExport.ensureBlob(layer, { signal: opened, progress });
          return content.read(descriptor.digest, options);
        },
      };
      await withStatus(progress, `writing layer ${descriptor.digest}`, () =>
        said('error writing layer blob', this.#backend.writeBlob(descriptor, body, each)),
      );
    });
  }

  async #send({ descriptor, bytes }: WrittenDocument, access: CacheAccess, failure: string): Promise<void> {
    if (await this.#backend.hasBlob(descriptor, access)) return;
    const body = { open: async () => once(bytes) };
    await said(failure, this.#backend.writeBlob(descriptor, body, access));
  }
}

interface Sending {
  readonly uploads: BlobUploads;
  readonly progress: ProgressWriter;
  readonly access: CacheAccess;
}

/** A config that says of its layers what there is no manifest for. */
function annotated({ config, blobs }: CacheContents): CacheConfig {
  const layers = config.layers.map((layer) => ({
    ...layer,
    annotations: layerAnnotations(blobs.get(layer.blob) as LayerBlob),
  }));
  return { ...config, layers };
}

function documentOf(mediaType: string, bytes: Uint8Array): WrittenDocument {
  return { descriptor: { mediaType, digest: digestOf(bytes), size: bytes.length }, bytes };
}

async function* once(bytes: Uint8Array): AsyncIterable<Uint8Array> {
  yield bytes;
}

/** Has a failure say what failed. */
async function said<T>(what: string, work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    throw asKilnError(error).wrap(what);
  }
}
