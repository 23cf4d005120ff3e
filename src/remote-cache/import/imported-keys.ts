import { hash } from 'node:crypto';
import { isDigest } from '../../base/digest.ts';
import { recordDigest, recordOfKey } from '../../solver/cache-key.ts';
import type { KeyId, KeyLink, KeyResult, KeySource, WayToKey } from '../../solver/key-store.ts';
import type { CacheConfig, ConfigRecord, ConfigResult } from '../config/cache-config.ts';
import { inOrder, neededRecords } from '../config/parse-cache-config.ts';

/**
 * The keys of a cache config. A record without inputs is known by its digest, as everywhere. Another one gets an id that says all that leads
 * to it: ids end up in the solver's own key store, where equal ones of different caches must mean the same.
 */
export class ImportedKeys implements KeySource {
  readonly #targets = new Map<string, Set<KeyId>>();
  /** From records without inputs. */
  readonly #ways = new Map<KeyId, WayToKey[]>();
  readonly #results = new Map<KeyId, KeyResult[]>();
  readonly #byId = new Map<string, ConfigResult>();

  private constructor() {}

  /** `usable`: whether the layers of a result can be had. Takes time linear in the config, in steps. */
  static *of(config: CacheConfig, usable: (result: ConfigResult) => boolean): Generator<void, ImportedKeys> {
    const keys = new ImportedKeys();
    const ids: KeyId[] = [];
    // The config was checked: no record leads to itself.
    for (const position of inOrder(config.records, neededRecords)!) {
      keys.#add(config.records[position]!, position, ids, usable);
      yield;
    }
    return keys;
  }

  #add(
    record: ConfigRecord,
    position: number,
    ids: KeyId[],
    usable: (result: ConfigResult) => boolean,
  ): void {
    const id = idOf(record, ids);
    ids[position] = id;
    const ways: WayToKey[] = [];
    this.#ways.set(id, ways);
    for (const [input, links] of record.inputs.entries())
      for (const { selector, record: from } of links) {
        const way = { from: ids[from]!, input, selector: isDigest(selector) ? selector : undefined };
        if (recordOfKey(way.from) && (selector === '' || way.selector)) ways.push(way);
        const link = linkText(ids[from]!, record.digest, input, selector);
        const targets = this.#targets.get(link);
        if (targets) targets.add(id);
        else this.#targets.set(link, new Set([id]));
      }
    for (const [index, result] of record.results.entries()) {
      if (!usable(result)) continue;
      const name = `${position} ${index}`;
      this.#byId.set(name, result);
      const results = this.#results.get(id) ?? [];
      this.#results.set(id, results);
      results.push({ id: name, createdAt: result.createdAt });
    }
  }

  async targets(links: readonly KeyLink[]): Promise<readonly (readonly KeyId[])[]> {
    return links.map(({ from, operation, output, input, selector }) => [
      ...(this.#targets.get(linkText(from, recordDigest(operation, output), input, selector ?? '')) ?? []),
    ]);
  }

  async results(keys: readonly KeyId[]): Promise<readonly KeyResult[]> {
    const found = new Map<string, KeyResult>();
    for (const key of keys) for (const result of this.#results.get(key) ?? []) found.set(result.id, result);
    return [...found.values()].sort((a, b) => b.createdAt.getTime() - a.createdAt.getTime());
  }

  async waysFromRecords(key: KeyId): Promise<readonly WayToKey[]> {
    return this.#ways.get(key) ?? [];
  }

  /** What a result that `results` gave is made of. */
  result(id: string): ConfigResult | undefined {
    return this.#byId.get(id);
  }
}

function linkText(from: string, record: string, input: number, selector: string): string {
  return `${from} ${record} ${input} ${selector}`;
}

/** `ids`: those of the records that lead to this one. */
function idOf({ digest, inputs }: ConfigRecord, ids: readonly KeyId[]): KeyId {
  if (inputs.length === 0) return digest as string as KeyId;
  const parts: string[] = [digest];
  for (const links of inputs) {
    const texts = links.map(({ selector, record }) => `${selector.length}:${selector} ${ids[record]}`);
    parts.push([...new Set(texts)].sort().join('|'));
  }
  return `imported:${hash('sha256', JSON.stringify(parts), 'base64url')}` as KeyId;
}
