import type { KeyChange, KeyId, KeyLink, KeyResult, KeyStore } from '../solver/key-store.ts';
import { newestFirst } from './newest-first.ts';

/** Keys for as long as the process lives. */
export class MemoryKeyStore implements KeyStore {
  /** Targets by link. */
  readonly #targets = new Map<string, Set<KeyId>>();
  /** The links that lead to a key. */
  readonly #incoming = new Map<KeyId, Map<string, KeyId>>();
  /** How many links start at a key. */
  readonly #outgoing = new Map<KeyId, number>();
  readonly #results = new Map<KeyId, Map<string, KeyResult>>();
  readonly #keysOfResult = new Map<string, Set<KeyId>>();

  async targets(links: readonly KeyLink[]): Promise<readonly (readonly KeyId[])[]> {
    return links.map((link) => [...(this.#targets.get(nameOf(link)) ?? [])]);
  }

  async results(keys: readonly KeyId[]): Promise<readonly KeyResult[]> {
    return newestFirst(keys.flatMap((key) => [...(this.#results.get(key)?.values() ?? [])]));
  }

  async commit({ links = [], results = [] }: KeyChange): Promise<void> {
    for (const link of links) this.#addLink(link, link.to);
    for (const { key, result } of results) {
      const known = this.#results.get(key) ?? new Map<string, KeyResult>();
      this.#results.set(key, known);
      if (!known.has(result.id)) known.set(result.id, result);
      const keys = this.#keysOfResult.get(result.id) ?? new Set();
      this.#keysOfResult.set(result.id, keys.add(key));
    }
  }

  async dropResult(id: string): Promise<void> {
    const keys = this.#keysOfResult.get(id);
    if (!keys) return;
    this.#keysOfResult.delete(id);
    for (const key of keys) {
      const results = this.#results.get(key)!;
      results.delete(id);
      if (results.size === 0) this.#results.delete(key);
    }
    this.#dropDeadEnds(keys);
  }

  async *resultIds(): AsyncIterable<string> {
    yield* [...this.#keysOfResult.keys()];
  }

  #addLink(link: KeyLink, to: KeyId): void {
    const name = nameOf(link);
    const targets = this.#targets.get(name) ?? new Set();
    if (targets.has(to)) return;
    this.#targets.set(name, targets.add(to));
    const incoming = this.#incoming.get(to) ?? new Map<string, KeyId>();
    this.#incoming.set(to, incoming.set(name, link.from));
    this.#outgoing.set(link.from, (this.#outgoing.get(link.from) ?? 0) + 1);
  }

  #dropDeadEnds(keys: Iterable<KeyId>): void {
    const suspects = [...keys];
    for (let key = suspects.pop(); key !== undefined; key = suspects.pop()) {
      if (this.#results.has(key) || this.#outgoing.has(key)) continue;
      for (const [name, from] of this.#incoming.get(key) ?? []) {
        const targets = this.#targets.get(name)!;
        targets.delete(key);
        if (targets.size === 0) this.#targets.delete(name);
        const left = this.#outgoing.get(from)! - 1;
        if (left > 0) this.#outgoing.set(from, left);
        else {
          this.#outgoing.delete(from);
          suspects.push(from);
        }
      }
      this.#incoming.delete(key);
    }
  }
}

function nameOf({ from, operation, output, input, selector }: KeyLink): string {
  return `${from} ${operation} ${output} ${input} ${selector ?? ''}`;
}
