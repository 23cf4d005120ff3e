import { readFileSync } from 'node:fs';
import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { removeRows } from '../base/database/remove-rows.ts';
import { type SnapshotId, snapshotId } from './snapshot.ts';

/**
 * Notes which snapshots may not be complete on the disk yet. Writing a snapshot does not wait for the disk, so a
 * crash of the machine can lose files of snapshots whose records were kept. A snapshot is noted before it is
 * written, and struck out after a flush that began after its last write. Snapshots that are still noted after the machine has booted anew are lost.
 */
export class WriteLedger {
  /** To be removed, then acknowledged. */
  readonly lost: readonly SnapshotId[];
  /** After a boot of the machine: files written since then (milliseconds since 1970) may not be whole. */
  readonly doubtfulSince: number | undefined;
  /** When earlier processes wrote last (milliseconds since 1970), if they left anything noted. */
  readonly restingSince: number | undefined;
  readonly #database: DatabaseSync;
  readonly #bootId: string;
  /** With a number that grows with every write. */
  readonly #noted: Map<SnapshotId, number>;
  #writes = 0;
  readonly #insert: StatementSync;
  readonly #delete: StatementSync;
  readonly #setFlushed: StatementSync;
  readonly #setBoot: StatementSync;

  /** `bootId` tells one boot of the machine from the next. */
  constructor(database: DatabaseSync, bootId: string = kernelBootId()) {
    database.exec(`
      CREATE TABLE IF NOT EXISTS snapshot_unflushed (id TEXT PRIMARY KEY, noted_at INTEGER NOT NULL) STRICT, WITHOUT ROWID;
      CREATE TABLE IF NOT EXISTS disk_flush (
        one INTEGER PRIMARY KEY CHECK (one = 1), boot_id TEXT NOT NULL, flushed_at INTEGER NOT NULL
      ) STRICT;
    `);
    database.prepare('INSERT OR IGNORE INTO disk_flush VALUES (1, ?, ?)').run(bootId, Date.now());
    this.#insert = database.prepare('INSERT OR IGNORE INTO snapshot_unflushed VALUES (?, ?)');
    this.#delete = database.prepare('DELETE FROM snapshot_unflushed WHERE id = ?');
    this.#setFlushed = database.prepare('UPDATE disk_flush SET flushed_at = ?');
    this.#setBoot = database.prepare('UPDATE disk_flush SET boot_id = ?');
    this.#database = database;
    this.#bootId = bootId;

    const noted = database.prepare('SELECT id, noted_at FROM snapshot_unflushed').all();
    const ids = noted.map(({ id }) => snapshotId(String(id)));
    const last = database.prepare('SELECT boot_id, flushed_at FROM disk_flush').get()!;
    const rebooted = last.boot_id !== bootId;
    this.lost = rebooted ? ids : [];
    this.doubtfulSince = rebooted ? Number(last.flushed_at) : undefined;
    this.#noted = new Map(rebooted ? [] : ids.map((id) => [id, 0]));
    this.restingSince =
      this.#noted.size === 0 ? undefined : Math.max(...noted.map((row) => Number(row.noted_at)));
  }

  /** To be called before a snapshot is written, each time. */
  note(id: SnapshotId): void {
    if (!this.#noted.has(id)) this.#insert.run(id, Date.now());
    this.#noted.set(id, ++this.#writes);
  }

  /** What was lost, and the files that were in doubt, are no more. */
  acknowledge(): void {
    removeRows(this.#database, () => {
      for (const id of this.lost) if (!this.#noted.has(id)) this.#delete.run(id);
      this.#setBoot.run(this.#bootId);
    });
  }

  /** Runs `flush`, which brings all to the disk, and strikes out the snapshots that nobody was `writing` when it began. */
  async strike(flush: () => Promise<void>, writing: (id: SnapshotId) => boolean): Promise<void> {
    const before = Date.now();
    const still = [...this.#noted].filter(([id]) => !writing(id));
    await flush();
    const safe = still.filter(([id, write]) => this.#noted.get(id) === write);
    removeRows(this.#database, () => {
      for (const [id] of safe) this.#delete.run(id);
      this.#setFlushed.run(before);
    });
    for (const [id] of safe) this.#noted.delete(id);
  }
}

function kernelBootId(): string {
  return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
}
