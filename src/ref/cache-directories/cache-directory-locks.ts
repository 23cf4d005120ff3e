import { abortable, deferred, KeyedLock } from '../../base/async/lifetime.ts';
import type { Sharing } from '../cache-directories.ts';
import type { RefRecord } from '../records/ref-record.ts';
import type { RefRecords } from '../records/ref-records.ts';

/** Gets the directory, or undefined when its name was dropped. */
interface Waiter {
  readonly record: PromiseWithResolvers<RefRecord | undefined>;
}

/** The holders of cache directories, and those who wait for one. Each holder counts as one handle of the record. */
export class CacheDirectoryLocks {
  readonly #records: RefRecords;
  readonly #creating = new KeyedLock();
  /** Held directories that others may share. */
  readonly #shared = new Set<RefRecord>();
  readonly #waiting = new Map<string, Waiter[]>();

  constructor(records: RefRecords) {
    this.#records = records;
  }

  /** Returns a directory of that name with one more handle, to be given back to `release`. `create` makes a new one, held once. */
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

  /** Holds a directory of that name together with those who share it: the one that was used last. Undefined when each is held by somebody alone. */
  share(name: string): RefRecord | undefined {
    const open = [...this.#records.byName(name)].filter(
      (record) => record.handles === 0 || this.#shared.has(record),
    );
    const latest = open.toSorted((a, b) => Number(b.lastUsedAt ?? 0) - Number(a.lastUsedAt ?? 0))[0];
    if (latest) this.#retain(latest, 'shared');
    return latest;
  }

  /** Takes the name from its directories, and returns them. Those who wait for one of them get another. */
  drop(name: string): readonly RefRecord[] {
    const dropped = this.#records.dropName(name);
    for (const record of dropped) this.#shared.delete(record);
    const waiting = this.#waiting.get(name) ?? [];
    this.#waiting.delete(name);
    for (const { record } of waiting) record.resolve(undefined);
    return dropped;
  }

  /** Releases one handle. The directory goes to the one who has waited longest. */
  release(record: RefRecord, use?: { readonly isUse: boolean }): void {
    this.#records.release(record, use);
    if (record.handles > 0) return;
    this.#shared.delete(record);
    const { name } = record;
    if (name === undefined) return;
    const next = this.#waiting.get(name)?.shift();
    if (this.#waiting.get(name)?.length === 0) this.#waiting.delete(name);
    if (!next) return;
    this.#retain(record, 'locked');
    next.record.resolve(record);
  }

  #take(name: string, sharing: Sharing): RefRecord | undefined {
    const directories = [...this.#records.byName(name)];
    const found =
      (sharing === 'shared' ? directories.find((each) => this.#shared.has(each)) : undefined) ??
      directories.find((each) => each.handles === 0);
    if (found) this.#retain(found, sharing);
    return found;
  }

  #retain(record: RefRecord, sharing: Sharing): void {
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
