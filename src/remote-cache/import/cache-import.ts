import { deferred, mapLimit } from '../../base/async/lifetime.ts';
import type { Digest } from '../../base/digest.ts';
import { asKilnError } from '../../base/errors.ts';
import { reportTransfer } from '../../base/report-transfer.ts';
import type { ContentStore } from '../../content/content.ts';
import type { BlobProvider, LayerImport } from '../../ref/layer-import.ts';
import type { ImmutableRef, LayerBlob } from '../../ref/ref.ts';
import type { KeyId, KeyLink, KeyResult, KeySource } from '../../solver/key-store.ts';
import type { CacheSource, ResultStore } from '../../solver/solver.ts';
import type { CacheBackend } from '../cache-backend.ts';
import { layersOfResult } from '../config/cache-config.ts';
import type { LoadedCache } from './loaded-cache.ts';

/** What became of an import, for explanations. */
export type ImportOutcome =
  | { readonly kind: 'pending' }
  | { readonly kind: 'loaded'; readonly empty: boolean }
  | { readonly kind: 'failed'; readonly message: string };

export interface CacheImportOptions {
  /** What messages call it. */
  readonly name: string;
  readonly backend: CacheBackend;
  readonly content: ContentStore;
  readonly layerImport: LayerImport;
  /** The sessions of builds under way that import this cache. */
  readonly sessions: () => readonly string[];
  /** Ends with the build. */
  readonly signal: AbortSignal;
  readonly read: (signal: AbortSignal) => Promise<readonly LoadedCache[]>;
}

/** A result is made of no more layers than this. */
const maxLayers = 1024;
const questionsAtOnce = 16;

/** A cache that a build imports. Look-ups wait until it is loaded or has failed; one that failed leads nowhere. */
export class CacheImport implements CacheSource<ImmutableRef> {
  readonly name: string;
  readonly keys: KeySource;
  readonly results: ResultStore<ImmutableRef>;
  readonly #options: CacheImportOptions;
  readonly #loaded = deferred<readonly LoadedCache[]>();
  readonly #present = new Set<Digest>();
  readonly #missing = new Set<Digest>();
  #outcome: ImportOutcome = { kind: 'pending' };

  constructor(options: CacheImportOptions) {
    this.#options = options;
    this.name = options.name;
    this.keys = {
      targets: (links) => this.#targets(links),
      results: (keys) => this.#results(keys),
      waysFromRecords: async (key) => {
        const caches = await this.#loaded.promise;
        return (await Promise.all(caches.map(({ keys }) => keys.waysFromRecords(key)))).flat();
      },
    };
    this.results = { load: (id) => this.#load(id) };
  }

  /** Reads the cache. Throws what keeps it from being of any use; look-ups only find nothing then. */
  async load(signal: AbortSignal): Promise<void> {
    try {
      const caches = await this.#options.read(signal);
      this.#outcome = { kind: 'loaded', empty: caches.length === 0 };
      this.#loaded.resolve(caches);
    } catch (error) {
      this.#outcome = { kind: 'failed', message: asKilnError(error).message };
      this.#loaded.resolve([]);
      throw error;
    }
  }

  get pending(): boolean {
    return this.#outcome.kind === 'pending';
  }

  get outcome(): ImportOutcome {
    return this.#outcome;
  }

  /** Blobs that results are made of, and that were not there. */
  get missing(): ReadonlySet<Digest> {
    return this.#missing;
  }

  async #targets(links: readonly KeyLink[]): Promise<readonly (readonly KeyId[])[]> {
    const caches = await this.#loaded.promise;
    const found = await Promise.all(caches.map(({ keys }) => keys.targets(links)));
    return links.map((_, index) => [...new Set(found.flatMap((targets) => targets[index]!))]);
  }

  async #results(keys: readonly KeyId[]): Promise<readonly KeyResult[]> {
    const caches = await this.#loaded.promise;
    const found = await Promise.all(
      caches.map(async (cache, index) =>
        (await cache.keys.results(keys)).map((result) => ({ ...result, id: `${index}:${result.id}` })),
      ),
    );
    return found.flat().sort((a, b) => b.createdAt.getTime() - a.createdAt.getTime());
  }

  async #load(id: string): Promise<ImmutableRef | undefined> {
    const colon = id.indexOf(':');
    const cache = (await this.#loaded.promise)[Number(id.slice(0, colon))];
    const result = cache?.keys.result(id.slice(colon + 1));
    if (!cache || !result) return undefined;
    const positions = layersOfResult(result, cache.config);
    if (positions.length === 0 || positions.length > maxLayers) return undefined;
    const layers: LayerBlob[] = [];
    for (const position of positions) {
      const blob = cache.blobs.get(cache.config.layers[position]!.blob);
      if (!blob) return undefined;
      layers.push(this.#described(blob));
    }
    if (!(await this.#areThere(layers))) return undefined;
    return await this.#options.layerImport.fromBlobs(layers, this.#provider(), {
      description: `imported from ${this.name}`,
    });
  }

  #described(blob: LayerBlob): LayerBlob {
    const { descriptor } = blob;
    const annotations = { ...descriptor.annotations, ...this.#options.backend.layerAnnotations };
    return {
      description: `imported ${descriptor.digest}`,
      ...blob,
      descriptor: { ...descriptor, annotations },
    };
  }

  /** A result whose blobs are gone is of no use. Each blob is asked for once in a build. */
  async #areThere(layers: readonly LayerBlob[]): Promise<boolean> {
    const { backend, content, sessions, signal } = this.#options;
    const asked = layers.filter(({ descriptor: { digest } }) => !this.#present.has(digest));
    await mapLimit(
      asked,
      questionsAtOnce,
      async ({ descriptor }, _index, each) => {
        const { digest } = descriptor;
        if (this.#missing.has(digest)) return;
        const access = { signal: each, sessions: sessions() };
        const there =
          (await content.stat(digest)) !== undefined || (await backend.hasBlob(descriptor, access));
        (there ? this.#present : this.#missing).add(digest);
      },
      signal,
    );
    return layers.every(({ descriptor }) => this.#present.has(descriptor.digest));
  }

  #provider(): BlobProvider {
    const { backend, content, sessions } = this.#options;
    return {
      origin: this.name,
      async fetch(descriptor, { signal, progress }) {
        if (await content.stat(descriptor.digest)) return;
        const { digest, size } = descriptor;
        const report = reportTransfer({ id: digest, name: 'downloading', total: size, current: 0 }, progress);
        await backend.fetchBlob(descriptor, content, {
          signal,
          sessions: sessions(),
          onProgress: report.reach,
        });
        report.reach(size);
        report.complete();
      },
      isGone: () => backend.needsSession === true && sessions().length === 0,
      isIdle: () => sessions().length === 0,
    };
  }
}
