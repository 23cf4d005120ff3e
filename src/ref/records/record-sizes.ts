import type { Digest } from '../../base/digest.ts';
import type { Removal, Snapshotter } from '../../snapshot/snapshot.ts';
import { hasFiles, type RefRecord, snapshotOf } from './ref-record.ts';
import type { RefRecords } from './ref-records.ts';

/** How long a finished record may stay unmeasured: records come in groups. Milliseconds. */
const delay = 100;
/** So many records are measured at once. */
const batchSize = 500;

/** Measures the snapshots of records, and waits for those that are being deleted. */
export class RecordSizes implements AsyncDisposable {
  readonly #records: RefRecords;
  readonly #snapshotter: Snapshotter;
  readonly #pending = new Set<RefRecord>();
  #timer: NodeJS.Timeout | undefined;
  #measuring: Promise<void> = Promise.resolve();
  readonly #deleting = new Set<Promise<number>>();
  #closed = false;

  constructor(records: RefRecords, snapshotter: Snapshotter) {
    this.#records = records;
    this.#snapshotter = snapshotter;
  }

  /** To be called when the files of a record will not change for now. */
  measureSoon(record: RefRecord): void {
    if (this.#closed) return;
    this.#pending.add(record);
    this.#timer ??= setTimeout(() => void this.settle().catch(() => {}), delay).unref();
  }

  /** Resolves when all that was to be measured soon, and those of `records` that have no size, are measured. */
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

  /** Returns the bytes of the record's snapshot, as far as they are known, and of its blobs in the content store (`blobs`). */
  of(record: RefRecord, blobs: ReadonlyMap<Digest, number>): number {
    const snapshot = (record.size ?? 0) + this.#snapshotter.overhead(snapshotOf(record));
    return snapshot + this.#records.blobSize(record, blobs);
  }

  /** To be called when the removal of a record has begun. */
  awaitDeletion({ freed }: Removal): void {
    this.#deleting.add(freed);
    void freed.finally(() => this.#deleting.delete(freed));
  }

  /** Resolves when the files of all records removed so far are deleted. */
  async deleted(): Promise<void> {
    await Promise.all(this.#deleting);
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
    return !this.#isWritten(record) && (await hasFiles(record, this.#snapshotter));
  }

  #isWritten(record: RefRecord): boolean {
    return record.state === 'mutable' && record.handles > 0;
  }

  /** Waits for what is being measured and deleted. Records without a size are measured after the next start. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#pending.clear();
    await this.#measuring.catch(() => {});
    await this.deleted();
  }
}
