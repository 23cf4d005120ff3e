import { existsSync } from 'node:fs';
import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { removeRows } from '../base/database/remove-rows.ts';

/** What is known of the files of layer directories, packed (see `FileDigests`): table `layer_file_digests`, one row a directory. */
export class FileDigestTable {
  readonly #get: StatementSync;
  readonly #put: StatementSync;
  readonly #forget: StatementSync;

  /** Forgets the layer directories that are gone. */
  constructor(database: DatabaseSync) {
    database.exec(`
      DROP TABLE IF EXISTS layer_file_contents; -- of an older format
      CREATE TABLE IF NOT EXISTS layer_file_digests (dir TEXT PRIMARY KEY, packed BLOB NOT NULL) STRICT;
    `);
    this.#get = database.prepare('SELECT packed FROM layer_file_digests WHERE dir = ?');
    this.#put = database.prepare('INSERT OR REPLACE INTO layer_file_digests (dir, packed) VALUES (?, ?)');
    this.#forget = database.prepare('DELETE FROM layer_file_digests WHERE dir = ?');
    const gone = database
      .prepare('SELECT dir FROM layer_file_digests')
      .all()
      .map(({ dir }) => String(dir))
      .filter((dir) => !existsSync(dir));
    removeRows(database, () => {
      for (const dir of gone) this.forget(dir);
    });
  }

  get(dir: string): Uint8Array | undefined {
    return this.#get.get(dir)?.packed as Uint8Array | undefined;
  }

  forget(dir: string): void {
    this.#forget.run(dir);
  }

  put(dir: string, packed: Uint8Array): void {
    this.#put.run(dir, packed);
  }
}
