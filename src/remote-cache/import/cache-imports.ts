import { awakeTimeout } from '../../base/async/awake-timeout.ts';
import { abortable, mapLimit, throwIfAborted } from '../../base/async/lifetime.ts';
import { KilnError } from '../../base/errors.ts';
import type { Attributes } from '../../base/text/attributes.ts';
import { canonicalText } from '../../base/text/canonical.ts';
import type { ContentStore } from '../../content/content.ts';
import type { LayerImport } from '../../ref/layer-import.ts';
import {
  type CacheAccess,
  type CacheBackend,
  type CacheBackendType,
  defaultDocumentTimeout,
} from '../cache-backend.ts';
import { CacheImport } from './cache-import.ts';
import { type LoadedCache, loadCache } from './loaded-cache.ts';
import { type ReadCache, readCaches } from './read-cache.ts';

/** A cache to import, as clients name it. */
export interface CacheOptions {
  readonly type: string;
  readonly attributes: Attributes;
}

export interface CacheImportsServices {
  readonly types: ReadonlyMap<string, CacheBackendType>;
  readonly content: ContentStore;
  readonly layerImport: LayerImport;
}

/** A document with what was read from it. */
interface KeptDocument {
  readonly version: string;
  /** How many parts it has. */
  readonly parts: number;
  readonly caches: readonly LoadedCache[];
}

/** Parts of caches that are kept in memory between builds. One takes some 200 bytes. */
const mostKeptParts = 500_000;
const namesAtOnce = 4;

/**
 * The caches that builds import. What was read from a document is kept for later builds, which ask on behalf of their own clients
 * whether the document is still the same one.
 */
export class CacheImports {
  readonly #services: CacheImportsServices;
  /** By options and document, the least recently used first. */
  readonly #kept = new Map<string, KeptDocument>();
  /** By options: the sessions of the builds under way that import the cache, one entry a build. */
  readonly #sessions = new Map<string, string[]>();

  constructor(services: CacheImportsServices) {
    this.#services = services;
  }

  /**
   * Begins an import for a build, which is to call `load`. Until `signal` aborts, blobs may be fetched on behalf of `sessionId` (empty for
   * none). Throws `invalid_argument` for options that are wrong.
   */
  open(options: CacheOptions, sessionId: string, signal: AbortSignal): CacheImport {
    const backend = this.#backend(options);
    const key = importKey(options);
    if (sessionId !== '') this.#enter(key, sessionId, signal);
    const sessions = () => [...new Set(this.#sessions.get(key))];
    const name = options.type === 'registry' ? importName(options) : backend.place;
    const { content, layerImport } = this.#services;
    const read = (each: AbortSignal) => this.#read(key, backend, { signal: each, sessions: sessions() });
    return new CacheImport({ name, backend, content, layerImport, sessions, signal, read });
  }

  #backend({ type, attributes }: CacheOptions): CacheBackend {
    const known = this.#services.types.get(type);
    if (known) return known.open(attributes, 'import');
    throw new KilnError('invalid_argument', `unknown cache importer: ${type}`, {
      hint: `this daemon has ${[...this.#services.types.keys()].join(', ')}`,
    });
  }

  #enter(key: string, sessionId: string, signal: AbortSignal): void {
    const sessions = this.#sessions.get(key) ?? [];
    this.#sessions.set(key, sessions);
    sessions.push(sessionId);
    const leave = () => {
      sessions.splice(sessions.indexOf(sessionId), 1);
      if (sessions.length === 0) this.#sessions.delete(key);
    };
    if (signal.aborted) leave();
    else signal.addEventListener('abort', leave, { once: true });
  }

  /** All documents of a cache. */
  async #read(key: string, backend: CacheBackend, access: CacheAccess): Promise<readonly LoadedCache[]> {
    using timeout = awakeTimeout(backend.documentTimeout ?? defaultDocumentTimeout);
    const signal = AbortSignal.any([access.signal, timeout.signal]);
    try {
      const documents = await mapLimit(
        backend.names,
        namesAtOnce,
        (name, _index, each) => this.#document(key, name, backend, { ...access, signal: each }),
        signal,
      );
      if (backend.form === 'manifest' && documents.every((caches) => caches === undefined))
        throw new KilnError('not_found', `${backend.place}: not found`);
      return documents.flatMap((caches) => caches ?? []);
    } catch (error) {
      throwIfAborted(access.signal);
      if (!timeout.signal.aborted) throw error;
      throw new KilnError('unavailable', `${backend.place} did not answer in time`, { cause: error });
    }
  }

  async #document(
    key: string,
    name: string,
    backend: CacheBackend,
    access: CacheAccess,
  ): Promise<readonly LoadedCache[] | undefined> {
    const id = canonicalText([key, name]);
    const kept = this.#kept.get(id);
    const document = await abortable(backend.readDocument(name, kept?.version, access), access.signal);
    if (document === undefined) return undefined;
    if (document === 'unchanged') {
      if (!kept) throw new KilnError('internal', `${backend.place} has not changed since it was never read`);
      this.#keep(id, kept);
      return kept.caches;
    }
    const read = await readCaches(document, backend, this.#services, access);
    const caches: LoadedCache[] = [];
    for (const cache of read) caches.push(await loadCache(cache));
    const { version } = document;
    const parts = caches.reduce((sum, cache) => sum + partsOf(cache), 1);
    if (version !== undefined) this.#keep(id, { version, parts, caches });
    return caches;
  }

  #keep(id: string, document: KeptDocument): void {
    this.#kept.delete(id);
    this.#kept.set(id, document);
    let sum = 0;
    for (const { parts } of this.#kept.values()) sum += parts;
    for (const [oldest, { parts }] of this.#kept) {
      if (sum <= mostKeptParts) return;
      sum -= parts;
      this.#kept.delete(oldest);
    }
  }
}

/** All that a cache keeps in memory, whatever it has much of. */
function partsOf({ config: { layers, records }, blobs }: ReadCache): number {
  let parts = layers.length + blobs.size;
  for (const { inputs, results } of records) {
    parts += 1 + results.length;
    for (const links of inputs) parts += 1 + links.length;
    for (const { layers: made } of results) if (made.kind === 'list') parts += made.layers.length;
  }
  return parts;
}

/** What messages call an import whose place is not known. */
export function importName({ type, attributes }: CacheOptions): string {
  return (type === 'registry' && attributes.ref) || type;
}

/** Tells the equal imports of a build from others. */
export function importKey({ type, attributes }: CacheOptions): string {
  return canonicalText([type, attributes]);
}
