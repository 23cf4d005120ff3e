import type { KeyId, KeyResult } from '../key-store.ts';
import type { ResultStore } from '../solver.ts';
import type { CacheStores } from '../vertex/cache-stores.ts';
import type { StoreCall } from './store-call.ts';

interface Candidate<R> {
  readonly record: KeyResult;
  readonly store: ResultStore<R>;
  /** Of the solver's own key store, which has to forget it when it is gone. */
  readonly own: boolean;
}

/** A loaded result, owned by whoever is handed it. */
export interface Loaded<R> {
  readonly result: R;
  readonly record: KeyResult;
  /** It came from the solver's own store, where nothing has to be saved. */
  readonly own: boolean;
}

/** Looks for a result that an edge's keys have, and loads the first that is still there. */
export class ResultSearch<R> {
  readonly #stores: CacheStores<R>;
  readonly #keys: readonly KeyId[];
  readonly #onLoaded: (loaded: Loaded<R>) => void;
  /** How many keys were looked up. */
  #lookedUp = 0;
  #lookedUpImported = 0;
  #candidates: Candidate<R>[] = [];

  /** `keys`: what the edge is known by; may grow. */
  constructor(stores: CacheStores<R>, keys: readonly KeyId[], onLoaded: (loaded: Loaded<R>) => void) {
    this.#stores = stores;
    this.#keys = keys;
    this.#onLoaded = onLoaded;
  }

  /** The next call; undefined when everything was tried. */
  next(consultsImports: boolean): StoreCall | undefined {
    if (this.#lookedUp < this.#keys.length) {
      const keys = this.#keys.slice(this.#lookedUp);
      this.#lookedUp = this.#keys.length;
      return { purpose: 'looking up results', run: () => this.#lookUp(keys) };
    }
    if (this.#candidates.length > 0) return { purpose: 'loading', run: () => this.#load() };
    if (consultsImports && this.#lookedUpImported < this.#keys.length) {
      const keys = this.#keys.slice(this.#lookedUpImported);
      this.#lookedUpImported = this.#keys.length;
      return { purpose: 'looking up results', run: () => this.#lookUpImported(keys) };
    }
    return undefined;
  }

  /** Looks once more for what was saved under the known keys, or under `key`, since they were looked up. */
  again(key: KeyId): StoreCall {
    return { purpose: 'looking up results', run: () => this.#lookUp([...this.#keys, key]) };
  }

  async #lookUp(keys: readonly KeyId[]): Promise<void> {
    const { keyStore, results } = this.#stores;
    const records = await this.#stores.call('the cache look-up', () => keyStore.results(keys));
    for (const record of records ?? []) this.#candidates.push({ record, store: results, own: true });
  }

  async #lookUpImported(keys: readonly KeyId[]): Promise<void> {
    const found = await Promise.all(
      this.#stores.imported().map(async ({ name, keys: source, results: store }) => {
        const what = `the look-up in cache ${name}`;
        const records = await this.#stores.call(what, () => source.results(keys));
        return (records ?? []).map((record) => ({ record, store, own: false }));
      }),
    );
    this.#candidates.push(...found.flat());
    this.#candidates.sort((a, b) => b.record.createdAt.getTime() - a.record.createdAt.getTime());
  }

  async #load(): Promise<void> {
    const { record, store, own } = this.#candidates.shift()!;
    // Handed over within the call, which keeps the vertex in the graph.
    await this.#stores.call('loading a cached result', async () => {
      const result = await store.load(record.id);
      if (result !== undefined) this.#onLoaded({ result, record, own });
      else if (own) await this.#stores.keyStore.dropResult(record.id);
    });
  }
}
