import type { RefRecord } from './ref-record.ts';

/** The records of each key, in the order in which they were added. */
export class RecordIndex<K> {
  readonly #byKey = new Map<K, Set<RefRecord>>();

  get(key: K): ReadonlySet<RefRecord> {
    return this.#byKey.get(key) ?? new Set();
  }

  has(key: K): boolean {
    return this.#byKey.has(key);
  }

  keys(): readonly K[] {
    return [...this.#byKey.keys()];
  }

  add(key: K, record: RefRecord): void {
    const records = this.#byKey.get(key) ?? new Set();
    this.#byKey.set(key, records.add(record));
  }

  delete(key: K, record: RefRecord): void {
    const records = this.#byKey.get(key);
    records?.delete(record);
    if (records?.size === 0) this.#byKey.delete(key);
  }
}
