import { mapLimit } from '../../base/async/lifetime.ts';
import { type Digest, digestOf } from '../../base/digest.ts';
import { asKilnError } from '../../base/errors.ts';
import { goJson } from '../../base/json/go-json.ts';
import { type ProgressWriter, withStatus } from '../../base/progress.ts';
import type { ContentStore } from '../../content/content.ts';
import { descriptorToJson, encodeManifest } from '../../oci/manifest.ts';
import { documentTypes } from '../../oci/media-type.ts';
import type { LayerExport } from '../../ref/layer-export.ts';
import type { ImmutableRef, LayerBlob } from '../../ref/ref.ts';
import type { CacheAccess, CacheBackend, WrittenDocument } from '../cache-backend.ts';
import { type CacheConfig, cacheConfigType } from '../config/cache-config.ts';
import { encodeCacheConfig } from '../config/encode-cache-config.ts';
import { layerAnnotations, layerDescriptor } from '../described-layer.ts';
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
   * Brings everything that is not there yet to the place: layers, then the config, then what names them. Returns what the client is told
   * (`cache.manifest`).
   */
  async run(
    results: readonly BuiltResult[],
    context: CacheExportContext,
  ): Promise<Readonly<Record<string, string>>> {
    const { signal, progress, sessionId } = context;
    await using held = new AsyncDisposableStack();
    const own = (ref: ImmutableRef) => held.defer(() => ref.release());
    const contents = await withStatus(progress, 'preparing build cache for export', async () => {
      const records = await collectRecords(results, this.#options.mode, own, signal);
      const options = { ...this.#options.compression, mediaTypes: 'oci', signal, progress } as const;
      return await cacheContents(records, this.#services.layerExport, options);
    });
    const sending: Sending = {
      contents,
      progress,
      access: { signal, sessions: sessionId === '' ? [] : [sessionId] },
    };
    return await withStatus(progress, 'sending cache export', () =>
      this.#backend.form === 'manifest' ? this.#sendManifest(sending) : this.#sendConfig(sending),
    );
  }

  async #sendManifest(sending: Sending): Promise<Readonly<Record<string, string>>> {
    const { contents, progress } = sending;
    if (contents.config.layers.length === 0) {
      await withStatus(progress, 'skipping cache export for empty result', async () => {});
      return {};
    }
    await this.#sendLayers(sending);
    const config = documentOf(cacheConfigType, encodeCacheConfig(contents.config));
    await withStatus(progress, `writing config ${config.descriptor.digest}`, () =>
      this.#send(config, sending.access, 'error writing config blob'),
    );
    const manifest = this.#manifest(contents, config);
    const { digest } = manifest.descriptor;
    const line = this.#options.imageManifest ? 'writing cache image manifest' : 'writing cache manifest';
    await withStatus(progress, `${line} ${digest}`, async () => {
      for (const name of this.#backend.names) {
        if (await this.#isCurrent(name, digest, sending.access)) continue;
        await said(
          'error writing manifest blob',
          this.#backend.writeDocument(name, manifest, sending.access),
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

  async #sendConfig(sending: Sending): Promise<Readonly<Record<string, string>>> {
    const { contents, access } = sending;
    await this.#sendLayers(sending);
    const document = documentOf(cacheConfigType, encodeCacheConfig(annotated(contents)));
    for (const name of this.#backend.names)
      await said(`error writing manifest: ${name}`, this.#backend.writeDocument(name, document, access));
    return {};
  }

  async #sendLayers({ contents: { blobs }, access, progress }: Sending): Promise<void> {
    const { content, layerExport } = this.#services;
    await mapLimit(
      [...blobs.values()],
      this.#backend.uploads,
      async (layer, _index, signal) => {
        const { descriptor } = layer;
        const each = { ...access, signal };
        if (await said('failed to check file presence in cache', this.#backend.hasBlob(descriptor, each)))
          return;
        const body = {
          open: async (opened: AbortSignal) => {
            await layerExport.ensureBlob(layer, { signal: opened, progress });
            return content.read(descriptor.digest);
          },
        };
        await withStatus(progress, `writing layer ${descriptor.digest}`, () =>
          said('error writing layer blob', this.#backend.writeBlob(descriptor, body, each)),
        );
      },
      access.signal,
    );
  }

  async #send({ descriptor, bytes }: WrittenDocument, access: CacheAccess, failure: string): Promise<void> {
    if (await this.#backend.hasBlob(descriptor, access)) return;
    const body = { open: async () => once(bytes) };
    await said(failure, this.#backend.writeBlob(descriptor, body, access));
  }
}

interface Sending {
  readonly contents: CacheContents;
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
