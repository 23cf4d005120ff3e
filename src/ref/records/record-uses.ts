import { isDatabaseError } from '../../base/errors.ts';
import type { RecordTable } from './record-table.ts';
import type { RefRecord } from './ref-record.ts';

/** How long uses may stay unwritten. Milliseconds. */
const delay = 1000;
/** How many are written in one turn of the event loop, and milliseconds until the next. */
const batchSize = 500;
const pause = 10;

/** Writes the last use, the number of uses and the size of records a moment after they changed. */
export class RecordUses {
  readonly #table: RecordTable;
  readonly #pending = new Set<RefRecord>();
  #timer: NodeJS.Timeout | undefined;

  constructor(table: RecordTable) {
    this.#table = table;
  }

  note(record: RefRecord): void {
    this.#pending.add(record);
    this.#writeAfter(delay);
  }

  /** Drops what is noted of a record that is going to be removed. */
  forget(record: RefRecord): void {
    this.#pending.delete(record);
  }

  /** Writes everything that is noted. */
  flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#write([...this.#pending]);
  }

  /** Writes in batches, with other work in between: a build may have used thousands of records. */
  #writeSome(): void {
    this.#timer = undefined;
    const isWritten = this.#write(this.#pending.values().take(batchSize).toArray());
    if (this.#pending.size > 0) this.#writeAfter(isWritten ? pause : delay);
  }

  #writeAfter(milliseconds: number): void {
    this.#timer ??= setTimeout(() => this.#writeSome(), milliseconds).unref();
  }

  /** Returns whether the uses are written. What cannot be written, on a full disk, stays noted. */
  #write(records: readonly RefRecord[]): boolean {
    try {
      if (records.length > 0) this.#table.putUse(records);
    } catch (error) {
      if (!isDatabaseError(error)) throw error;
      return false;
    }
    for (const record of records) this.#pending.delete(record);
    return true;
  }
}
