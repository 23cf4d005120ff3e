import { recordOfKey } from '../cache-key.ts';
import type { KeyChange, KeyId, KeyLink, KeyResult, KeyStore, WayToKey } from '../key-store.ts';

/** A key store that is as simple as can be (the solver's room knows no other), counts, and can be made slow or to fail. */
export class TestKeyStore implements KeyStore {
  readonly #links = new Map<string, KeyId[]>();
  readonly #sources = new Map<KeyId, KeyLink[]>();
  readonly #results = new Map<KeyId, KeyResult[]>();
  readonly #backing: KeyStore | undefined;
  lookups = 0;
  commits = 0;
  readonly dropped: string[] = [];
  /** Awaited before every answer. */
  beforeAnswer: (what: 'targets' | 'results' | 'commit') => Promise<void> | void = () => {};

  constructor(backing?: KeyStore) {
    this.#backing = backing;
  }

  async targets(links: readonly KeyLink[]): Promise<readonly (readonly KeyId[])[]> {
    this.lookups++;
    await this.beforeAnswer('targets');
    if (this.#backing) return this.#backing.targets(links);
    return links.map((link) => this.#links.get(nameOf(link)) ?? []);
  }

  async results(keys: readonly KeyId[]): Promise<readonly KeyResult[]> {
    this.lookups++;
    await this.beforeAnswer('results');
    if (this.#backing) return this.#backing.results(keys);
    return keys
      .flatMap((key) => this.#results.get(key) ?? [])
      .sort((a, b) => b.createdAt.getTime() - a.createdAt.getTime());
  }

  async commit(change: KeyChange): Promise<void> {
    this.commits++;
    await this.beforeAnswer('commit');
    if (this.#backing) return this.#backing.commit(change);
    for (const link of change.links ?? []) {
      const targets = this.#links.get(nameOf(link)) ?? [];
      if (targets.includes(link.to)) continue;
      const { to, ...source } = link;
      this.#links.set(nameOf(link), [...targets, to]);
      this.#sources.set(to, [...(this.#sources.get(to) ?? []), source]);
    }
    for (const { key, result } of change.results ?? [])
      this.#results.set(key, [result, ...(this.#results.get(key) ?? [])]);
  }

  async waysFromRecords(key: KeyId): Promise<readonly WayToKey[]> {
    if (this.#backing) return this.#backing.waysFromRecords(key);
    const ways = this.#sources.get(key) ?? [];
    return ways
      .filter(({ from }) => recordOfKey(from))
      .map(({ from, input, selector }) => ({ from, input, selector }));
  }

  async dropResult(id: string): Promise<void> {
    this.dropped.push(id);
    if (this.#backing) return this.#backing.dropResult(id);
    for (const [key, results] of this.#results)
      this.#results.set(
        key,
        results.filter((result) => result.id !== id),
      );
  }

  async *resultIds(): AsyncIterable<string> {
    if (this.#backing) yield* this.#backing.resultIds();
    else for (const results of this.#results.values()) for (const { id } of results) yield id;
  }
}

function nameOf({ from, operation, output, input, selector }: KeyLink): string {
  return [from, operation, output, input, selector].join(' ');
}
