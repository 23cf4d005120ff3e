import type { KeyId, KeyLink, KeySource } from '../key-store.ts';
import type { CacheStores } from '../vertex/cache-stores.ts';
import type { EdgeInput, LookedUp } from './edge-input.ts';
import { intersection } from './intersection.ts';
import type { StoreCall } from './store-call.ts';

/** Links to look up, each of an input. */
interface Question<R, C> {
  readonly links: KeyLink[];
  readonly inputs: EdgeInput<R, C>[];
}

/** Looks up where the ids of an edge's inputs lead. */
export class KeyLookup<R, C> {
  /** Asks imported caches, too. */
  consultsImports = false;
  readonly #stores: CacheStores<R>;
  readonly #inputs: readonly EdgeInput<R, C>[];
  #unmatched: number;
  #learnt = false;

  constructor(stores: CacheStores<R>, inputs: readonly EdgeInput<R, C>[]) {
    this.#stores = stores;
    this.#inputs = inputs;
    this.#unmatched = inputs.length;
  }

  /** The look-up of all ids of `changed` that were not looked up yet; undefined when there are none. */
  of(changed: readonly EdgeInput<R, C>[]): StoreCall | undefined {
    const own = this.#question(changed, (input) => input.lookedUp);
    const imported = this.consultsImports
      ? this.#question(changed, (input) => input.lookedUpImported)
      : undefined;
    if (!own && !imported) return undefined;
    return {
      purpose: 'looking up keys',
      run: async () => {
        if (own) await this.#ask(this.#stores.keyStore, 'the cache look-up', own);
        if (!imported) return;
        const asked = this.#stores
          .imported()
          .map(({ keys, name }) => this.#ask(keys, `the look-up in cache ${name}`, imported));
        await Promise.all(asked);
      },
    };
  }

  /** The keys that all inputs lead to, when something was learnt since the last call. */
  takeMatches(): readonly KeyId[] {
    if (!this.#learnt || this.#unmatched > 0) return [];
    this.#learnt = false;
    return intersection(this.#inputs.map((input) => input.matched));
  }

  #question(
    changed: readonly EdgeInput<R, C>[],
    lookedUp: (input: EdgeInput<R, C>) => LookedUp,
  ): Question<R, C> | undefined {
    const links: KeyLink[] = [];
    const inputs: EdgeInput<R, C>[] = [];
    for (const input of changed)
      for (const link of input.takeLinks(lookedUp(input))) {
        links.push(link);
        inputs.push(input);
      }
    return links.length > 0 ? { links, inputs } : undefined;
  }

  async #ask(source: KeySource, what: string, { links, inputs }: Question<R, C>): Promise<void> {
    const answers = await this.#stores.call(what, () => source.targets(links));
    for (const [position, targets] of (answers ?? []).entries()) {
      const input = inputs[position]!;
      const { from } = links[position]!;
      const known = input.answers.get(from);
      input.answers.set(from, known ? [...known, ...targets] : targets);
      if (targets.length === 0) continue;
      if (input.matched.size === 0) this.#unmatched--;
      for (const target of targets) input.matched.add(target);
      this.#learnt = true;
    }
  }
}
