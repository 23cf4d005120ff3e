import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { removeRows } from '../../base/database/remove-rows.ts';
import type { RefId } from '../../ref/ref.ts';

/** A tree that was synced before, and what it holds. */
export interface LocalTree {
  /** Which directory, with which patterns. */
  readonly key: string;
  readonly ref: RefId;
  /** As file sync writes and reads it. */
  readonly manifest: Uint8Array;
}

/** Milliseconds after which an unused entry is dropped: its tree is long pruned. */
const keepTime = 90 * 24 * 3600 * 1000;

/** Remembers the last tree of each local directory (table `local_trees`), so that the next build continues from it. */
export class LocalTrees {
  readonly #find: StatementSync;
  readonly #refOf: StatementSync;
  readonly #put: StatementSync;
  readonly #use: StatementSync;
  readonly #delete: StatementSync;
  readonly #deleteRef: StatementSync;

  constructor(database: DatabaseSync) {
    database.exec(
      `CREATE TABLE IF NOT EXISTS local_trees (
         key TEXT PRIMARY KEY,
         directory TEXT NOT NULL,
         ref TEXT NOT NULL,
         manifest BLOB NOT NULL,
         used_at INTEGER NOT NULL
       ) STRICT;
       CREATE INDEX IF NOT EXISTS local_trees_directory ON local_trees (directory, used_at);
       CREATE INDEX IF NOT EXISTS local_trees_ref ON local_trees (ref)`,
    );
    const deleteOld = database.prepare('DELETE FROM local_trees WHERE used_at < ?');
    removeRows(database, () => deleteOld.run(Date.now() - keepTime));
    this.#find = database.prepare(
      'SELECT key, ref, manifest FROM local_trees WHERE directory = ? ORDER BY key = ? DESC, used_at DESC LIMIT 1',
    );
    this.#refOf = database.prepare('SELECT ref FROM local_trees WHERE key = ?');
    this.#put = database.prepare(
      'INSERT OR REPLACE INTO local_trees (key, directory, ref, manifest, used_at) VALUES (?, ?, ?, ?, ?)',
    );
    this.#use = database.prepare('UPDATE local_trees SET used_at = ? WHERE key = ?');
    this.#deleteRef = database.prepare('DELETE FROM local_trees WHERE ref = ?');
    this.#delete = database.prepare('DELETE FROM local_trees WHERE key = ? AND ref = ?');
  }

  /** The tree with this key, or else the last of the same directory, synced with other patterns. */
  find(key: string, directory: string): LocalTree | undefined {
    const row = this.#find.get(directory, key);
    return (
      row && { key: String(row.key), ref: String(row.ref) as RefId, manifest: row.manifest as Uint8Array }
    );
  }

  /** Returns the tree that had the key before. */
  put({ key, ref, manifest }: LocalTree, directory: string): RefId | undefined {
    const before = this.#refOf.get(key)?.ref;
    this.#put.run(key, directory, ref, manifest, Date.now());
    return before === undefined ? undefined : (String(before) as RefId);
  }

  markUsed(key: string): void {
    this.#use.run(Date.now(), key);
  }

  /** The ref is gone. */
  forgetRef(ref: RefId): void {
    this.#deleteRef.run(ref);
  }

  /** Forgets the tree, unless it was replaced meanwhile. */
  forget({ key, ref }: LocalTree): void {
    this.#delete.run(key, ref);
  }
}
