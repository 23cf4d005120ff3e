import { abortable, deferred, KeyedLock } from '../base/async/lifetime.ts';
import type { Sharing } from './ref.ts';
import type { RefRecord } from './ref-record.ts';
import type { RefRecords } from './ref-records.ts';

/** Gets the tree, or undefined when it has lost its name. */
interface Waiter {
  readonly record: PromiseWithResolvers<RefRecord | undefined>;
}

/** Who holds which named tree. A hold is one handle of the record. */
export class CacheDirectoryLocks {
  readonly #records: RefRecords;
  readonly #creating = new KeyedLock();
  /** Held trees that others may join. */
  readonly #shared = new Set<RefRecord>();
  readonly #waiting = new Map<string, Waiter[]>();

  constructor(records: RefRecords) {
    this.#records = records;
  }

  /** `create` makes a tree with that name, held once. Answers a record with one more handle, which `release` gives back. */
  async acquire(
    name: string,
    sharing: Sharing,
    create: () => Promise<RefRecord>,
    signal: AbortSignal | undefined,
  ): Promise<{ readonly record: RefRecord; readonly fresh: boolean }> {
    const permit = await this.#creating.acquire(name, signal);
    let waiter: Waiter;
    try {
      const existing = this.#take(name, sharing);
      if (existing) return { record: existing, fresh: false };
      if (sharing !== 'locked' || this.#records.byName(name).size === 0) {
        const record = await create();
        if (sharing === 'shared') this.#shared.add(record);
        return { record, fresh: true };
      }
      waiter = { record: deferred<RefRecord | undefined>() };
      const queue = this.#waiting.get(name) ?? [];
      this.#waiting.set(name, queue);
      queue.push(waiter);
    } finally {
      permit[Symbol.dispose]();
    }
    try {
      const record = await abortable(waiter.record.promise, signal);
      if (record) return { record, fresh: false };
    } catch (error) {
      this.#leave(name, waiter);
      throw error;
    }
    return await this.acquire(name, sharing, create, signal);
  }

  /** Takes the name from its trees; who waits for one of them gets another. Answers what had the name. */
  drop(name: string): readonly RefRecord[] {
    const dropped = this.#records.dropName(name);
    for (const record of dropped) this.#shared.delete(record);
    const waiting = this.#waiting.get(name) ?? [];
    this.#waiting.delete(name);
    for (const { record } of waiting) record.resolve(undefined);
    return dropped;
  }

  /** Gives one hold back; the tree goes to who waits for it longest. */
  release(record: RefRecord): void {
    this.#records.release(record);
    if (record.handles > 0) return;
    this.#shared.delete(record);
    const { name } = record;
    if (name === undefined) return;
    const next = this.#waiting.get(name)?.shift();
    if (this.#waiting.get(name)?.length === 0) this.#waiting.delete(name);
    if (!next) return;
    this.#hold(record, 'locked');
    next.record.resolve(record);
  }

  #take(name: string, sharing: Sharing): RefRecord | undefined {
    const trees = [...this.#records.byName(name)];
    const found =
      (sharing === 'shared' ? trees.find((tree) => this.#shared.has(tree)) : undefined) ??
      trees.find((tree) => tree.handles === 0);
    if (found) this.#hold(found, sharing);
    return found;
  }

  #hold(record: RefRecord, sharing: Sharing): void {
    this.#records.retain(record);
    if (sharing === 'shared') this.#shared.add(record);
  }

  #leave(name: string, waiter: Waiter): void {
    const queue = this.#waiting.get(name);
    const index = queue?.indexOf(waiter) ?? -1;
    if (index >= 0) {
      queue!.splice(index, 1);
      if (queue!.length === 0) this.#waiting.delete(name);
    } else void waiter.record.promise.then((record) => record && this.release(record));
  }
}
