import { derivedKey, rootKey } from '../cache-key.ts';
import type { VertexPort } from '../graph/node-ports.ts';
import type { KeyChange, KeyId, KeyLink, KeyResult } from '../key-store.ts';
import type { EdgeInput } from './edge-input.ts';

/** In place of an output: the execution, which gives all outputs. */
const wholeVertex = -1;

/** The ids by which one output of a vertex is known, and what is saved of them. */
export class EdgeKeys<R, C> {
  /** By these, consumers look the edge up. Only ever added to. */
  readonly current: KeyId[] = [];
  /** A forced execution was saved under these: good for later builds, but in this one they lead to what is out of date. */
  readonly forced: KeyId[] = [];
  readonly #vertex: VertexPort<R, C>;
  readonly #index: number;
  #inputs: readonly EdgeInput<R, C>[] = [];

  constructor(vertex: VertexPort<R, C>, index: number) {
    this.#vertex = vertex;
    this.#index = index;
  }

  /** The cache map is known. A source is identified by it alone. */
  mapped(inputs: readonly EdgeInput<R, C>[]): void {
    this.#inputs = inputs;
    if (inputs.length === 0 && this.current.length === 0 && !this.#vertex.definition.ignoreCache)
      this.current.push(...this.#own);
  }

  /** An execution would be by force, by its own or an input's `ignoreCache`: definitions identify older results. */
  get byForce(): boolean {
    return this.#vertex.definition.ignoreCache || this.#inputs.some((input) => input.unidentified);
  }

  /** The key that the inputs give to this output: equal for all that are found equal by content. */
  get derived(): KeyId {
    return this.#inputs.length > 0 ? this.#derive(this.#index) : this.#own[0]!;
  }

  /** The same, for the execution. */
  get work(): KeyId {
    return this.#derive(wholeVertex);
  }

  #derive(output: number): KeyId {
    const identities = this.#inputs.map((input) => input.identity);
    return derivedKey(this.#vertex.cacheMap!.digest, output, identities);
  }

  /** What it is known by when no look-up has led to a key. */
  get #own(): readonly KeyId[] {
    if (this.#inputs.length > 0) return [this.derived];
    const { digest, alternatives = [] } = this.#vertex.cacheMap!;
    return [digest, ...alternatives].map((each) => rootKey(each, this.#index));
  }

  /** Keys that look-ups led to. From now on, all ids of all inputs lead to them. */
  add(found: readonly KeyId[]): void {
    const added = found.filter((key) => !this.current.includes(key));
    if (added.length === 0) return;
    this.current.push(...added.sort());
    const links: (KeyLink & { readonly to: KeyId })[] = [];
    for (const input of this.#inputs)
      for (const link of input.links()) {
        const answer = input.answers.get(link.from);
        for (const to of added) if (!answer?.includes(to)) links.push({ ...link, to });
      }
    if (links.length > 0) this.#vertex.stores.save({ links });
  }

  /** Its result is there, so that it has a key from now on. */
  identify(): void {
    const keys = this.byForce ? this.forced : this.current;
    if (keys.length === 0) keys.push(...this.#own);
  }

  /** Saves the result under all keys, with the ways to them. */
  saveResult(result: KeyResult | undefined): void {
    const keys = [...this.current, ...this.forced];
    const links: (KeyLink & { readonly to: KeyId })[] = [];
    for (const input of this.#inputs)
      for (const link of input.links()) for (const to of keys) links.push({ ...link, to });
    const results: KeyChange['results'] = result ? keys.map((key) => ({ key, result })) : [];
    this.#vertex.stores.save({ links, results });
  }
}
