import { asKilnError } from '../../base/errors.ts';
import type { KeyChange, KeyStore } from '../key-store.ts';
import type { CacheSource, ResultStore } from '../solver.ts';
import { UnderWay } from './under-way.ts';
import type { VertexProgress } from './vertex-progress.ts';

export interface CacheStoresOptions<R> {
  readonly keyStore: KeyStore;
  readonly results: ResultStore<R>;
  /** The caches that jobs bring along. */
  readonly imported: () => readonly CacheSource<R>[];
  /** Gets a warning for every call that fails. */
  readonly progress: VertexProgress;
  /** Counts the calls. */
  readonly underWay: UnderWay;
  readonly onEnded: () => void;
}

/**
 * The caches as one vertex uses them: those of the solver, and those that jobs bring along. They are called within `call`, which
 * never throws: a failure is a warning and a miss.
 */
export class CacheStores<R> {
  readonly keyStore: KeyStore;
  readonly results: ResultStore<R>;
  /** The caches that the vertex's jobs bring along, each once. */
  readonly imported: () => readonly CacheSource<R>[];
  readonly #calls: Pick<CacheStoresOptions<R>, 'progress' | 'underWay' | 'onEnded'>;
  /** What is being saved of the vertex, by itself or by one that it followed. */
  readonly #saves = new UnderWay();

  constructor({ keyStore, results, imported, ...calls }: CacheStoresOptions<R>) {
    this.keyStore = keyStore;
    this.results = results;
    this.imported = imported;
    this.#calls = calls;
  }

  /** Returns undefined when `work` fails. `what`: the subject of the warning. */
  async call<T>(what: string, work: () => Promise<T>): Promise<T | undefined> {
    const { progress, underWay, onEnded } = this.#calls;
    const call = underWay.begin();
    try {
      return await work();
    } catch (error) {
      const { message } = asKilnError(error);
      progress.warn({ level: 1, short: `${what} failed: ${message}` });
      return undefined;
    } finally {
      call[Symbol.dispose]();
      onEnded();
    }
  }

  /** Saves in the background: the result is good, whether its keys are saved or not. */
  async save(change: KeyChange): Promise<void> {
    using _saving = this.#saves.begin();
    await this.call('saving cache keys', () => this.keyStore.commit(change));
  }

  /** Counts what is being saved of `leader`, whose result this vertex took, as saved of this one. */
  async shareSavesOf(leader: CacheStores<R>): Promise<void> {
    using _saving = this.#saves.begin();
    await leader.saved();
  }

  get saving(): boolean {
    return !this.#saves.none;
  }

  /** Waits until what was found so far is saved. */
  saved(): Promise<void> {
    return this.#saves.settled();
  }
}
