import { open, stat } from 'node:fs/promises';
import type { DatabaseSync } from 'node:sqlite';
import { setImmediate } from 'node:timers/promises';

/** Milliseconds between two checks. */
const interval = 5_000;
/** Bytes of write-ahead log at which a checkpoint does not wait for the builds to end. */
const mostLog = 64 << 20;
/** Free pages that are worth giving back to the disk. */
const spare = 256;
/** Pages given back in one turn of the event loop. */
const step = 64;

export interface DatabaseKeeperOptions {
  readonly database: DatabaseSync;
  /** The database's file. */
  readonly file: string;
  /** Whether no build is running. */
  readonly isIdle: () => boolean;
}

/**
 * Keeps the database small, between builds: moves the write-ahead log into it, and gives unused pages back to the disk. The log
 * is brought to the disk in a thread first, so that the checkpoint, which has to wait for that, finds little left to wait for.
 */
export class DatabaseKeeper implements AsyncDisposable {
  readonly #options: DatabaseKeeperOptions;
  readonly #timer: NodeJS.Timeout;
  #changes = 0;
  #running: Promise<void> | undefined;
  #ended = false;

  constructor(options: DatabaseKeeperOptions) {
    this.#options = options;
    options.database.exec('PRAGMA wal_autocheckpoint = 0');
    this.#timer = setInterval(() => void this.tend(), interval).unref();
  }

  /** Does what is due. Resolves when it is done; failures are left for the next time. */
  tend(): Promise<void> {
    this.#running ??= this.#tend()
      .catch(() => {})
      .finally(() => {
        this.#running = undefined;
      });
    return this.#running;
  }

  async #tend(): Promise<void> {
    const { database, file, isIdle } = this.#options;
    while (isIdle() && !this.#ended && this.#freePages() > spare) {
      database.exec(`PRAGMA incremental_vacuum(${step})`);
      await setImmediate();
    }
    const { changes } = database.prepare('SELECT total_changes() AS changes').get() as { changes: number };
    if (changes === this.#changes) return;
    const log = `${file}-wal`;
    if (!isIdle() && (await stat(log)).size < mostLog) return;
    await using handle = await open(log, 'r');
    await handle.sync();
    if (this.#ended) return;
    this.#changes = changes;
    database.exec('PRAGMA wal_checkpoint(PASSIVE)');
  }

  #freePages(): number {
    return Number(this.#options.database.prepare('PRAGMA freelist_count').get()!.freelist_count);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#ended = true;
    clearInterval(this.#timer);
    await this.#running;
  }
}
