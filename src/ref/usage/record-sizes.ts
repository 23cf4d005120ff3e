import type { Removal, Snapshotter } from '../../snapshot/snapshot.ts';
import { type RefRecord, snapshotOf } from '../ref-record.ts';
import type { RefRecords } from '../ref-records.ts';

/** How long what is finished may stay unmeasured: records come in groups. Milliseconds. */
const delay = 100;
/** So many records are measured in one go. */
const batchSize = 500;

/** Keeps the sizes of records' snapshots. Their sum is what the disk holds. */
export class RecordSizes implements AsyncDisposable {
  readonly #records: RefRecords;
  readonly #snapshotter: Snapshotter;
  readonly #pending = new Set<RefRecord>();
  #timer: NodeJS.Timeout | undefined;
  #measuring: Promise<void> = Promise.resolve();
  readonly #ending = new Set<Promise<number>>();
  #closed = false;

  constructor(records: RefRecords, snapshotter: Snapshotter) {
    this.#records = records;
    this.#snapshotter = snapshotter;
  }

  /** The record's files are as they will stay for now: they are measured soon. */
  note(record: RefRecord): void {
    if (this.#closed) return;
    this.#pending.add(record);
    this.#timer ??= setTimeout(() => void this.settle().catch(() => {}), delay).unref();
  }

  /** Resolves when all that was noted, and what else of `records` has no size, is measured. */
  settle(records: Iterable<RefRecord> = []): Promise<void> {
    for (const record of records) if (record.size === undefined) this.#pending.add(record);
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#pending.size === 0) return this.#measuring;
    const batch = [...this.#pending];
    this.#pending.clear();
    const previous = this.#measuring.catch(() => {});
    this.#measuring = previous.then(() => this.#measure(batch));
    return this.#measuring;
  }

  /** Bytes of the record's snapshot, as far as they are known. */
  of(record: RefRecord): number {
    return (record.size ?? 0) + this.#snapshotter.overhead(snapshotOf(record));
  }

  /** To be called when the removal of a record has begun. */
  removed({ freed }: Removal): void {
    this.#ending.add(freed);
    void freed.finally(() => this.#ending.delete(freed));
  }

  /** Resolves when the files of all removed records are deleted. */
  async deleted(): Promise<void> {
    await Promise.all(this.#ending);
  }

  async #measure(records: readonly RefRecord[]): Promise<void> {
    const ready: RefRecord[] = [];
    for (const record of records)
      if (record.size === undefined && (await this.#isAtRest(record))) ready.push(record);
    for (let start = 0; start < ready.length; start += batchSize) {
      const batch = ready.slice(start, start + batchSize);
      const usages = await this.#snapshotter.usage(batch.map(snapshotOf));
      for (const [index, record] of batch.entries()) {
        if (!this.#isWritten(record)) this.#records.setSize(record, usages[index]!.size);
      }
    }
  }

  async #isAtRest(record: RefRecord): Promise<boolean> {
    if (this.#isWritten(record)) return false;
    const info = await this.#snapshotter.stat(snapshotOf(record));
    return info !== undefined && (info.state === 'committed' || record.state !== 'committed');
  }

  #isWritten(record: RefRecord): boolean {
    return record.state === 'mutable' && record.handles > 0;
  }

  /** Waits for what is being measured and deleted; sizes not known then are measured after the next start. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#pending.clear();
    await this.#measuring.catch(() => {});
    await this.deleted();
  }
}
