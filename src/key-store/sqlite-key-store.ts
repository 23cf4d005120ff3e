import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { setImmediate } from 'node:timers';
import { setImmediate as eventLoopTurn } from 'node:timers/promises';
import { TimeSlice } from '../base/async/time-slice.ts';
import { removeRows } from '../base/database/remove-rows.ts';
import { transaction } from '../base/database/transaction.ts';
import type { Digest } from '../base/digest.ts';
import type { KeyChange, KeyId, KeyLink, KeyResult, KeyStore, WayToKey } from '../solver/key-store.ts';

const schema = `
  CREATE TABLE IF NOT EXISTS key_link (
    from_key TEXT NOT NULL,
    operation TEXT NOT NULL,
    output INTEGER NOT NULL,
    input INTEGER NOT NULL,
    selector TEXT NOT NULL,
    to_key TEXT NOT NULL,
    PRIMARY KEY (from_key, operation, output, input, selector, to_key)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX IF NOT EXISTS key_link_by_target ON key_link (to_key);
  CREATE TABLE IF NOT EXISTS key_result (
    key TEXT NOT NULL,
    result TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (key, result)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX IF NOT EXISTS key_result_by_result ON key_result (result);
`;

interface Write {
  /** Returns the steps from the first one on: steps that were done before may be done again. */
  readonly begin: () => Iterator<void>;
  steps: Iterator<void>;
  /** Whether it must have a transaction of its own, since one that it shared has failed. */
  alone: boolean;
  /** Whether it only deletes. */
  readonly deletes: boolean;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/** Changes whenever ids change their meaning (`solver/cache-key.ts`, and the digests of operations and content). */
const format = 2;

/** Forgets keys that another format wrote: nothing can find them. Results that only they led to are then like any that no build needs. */
function dropStaleKeys(database: DatabaseSync): void {
  database.exec('CREATE TABLE IF NOT EXISTS key_format (version INTEGER PRIMARY KEY) STRICT');
  if (database.prepare('SELECT version FROM key_format').get()?.version === format) return;
  transaction(database, () => {
    database.exec(`
      DROP TABLE IF EXISTS key_link;
      DROP TABLE IF EXISTS key_result;
      DELETE FROM key_format;
      INSERT INTO key_format VALUES (${format});
    `);
  });
}

/** Reads give the event loop a turn after so many rows or look-ups. */
const pageSize = 1000;

/**
 * Keys in tables of a SQLite database that the caller opens and closes (after the last call has settled). Writes
 * are done one after the other, in short steps: many writes share a transaction, and a long write takes several, so that the
 * event loop turns in between. A commit writes links before results, and a drop deletes the result last: what a crash
 * leaves behind leads to no result, or is dropped again.
 */
export class SqliteKeyStore implements KeyStore {
  readonly #database: DatabaseSync;
  readonly #selectTargets: StatementSync;
  readonly #selectResults: StatementSync;
  readonly #insertLink: StatementSync;
  readonly #insertResult: StatementSync;
  readonly #selectKeysOfResult: StatementSync;
  readonly #deleteResult: StatementSync;
  readonly #isAlive: StatementSync;
  readonly #selectSources: StatementSync;
  readonly #selectIncoming: StatementSync;
  readonly #deleteLinks: StatementSync;
  readonly #selectIds: StatementSync;
  readonly #slice = new TimeSlice();
  #writes: Write[] = [];
  #scheduled = false;

  constructor(database: DatabaseSync) {
    this.#database = database;
    dropStaleKeys(database);
    database.exec(schema);
    this.#selectTargets = database.prepare(
      'SELECT to_key FROM key_link WHERE from_key = ? AND operation = ? AND output = ? AND input = ? AND selector = ?',
    );
    this.#selectResults = database.prepare('SELECT result, created_at FROM key_result WHERE key = ?');
    this.#insertLink = database.prepare('INSERT OR IGNORE INTO key_link VALUES (?, ?, ?, ?, ?, ?)');
    this.#insertResult = database.prepare('INSERT OR IGNORE INTO key_result VALUES (?, ?, ?)');
    this.#selectKeysOfResult = database.prepare('SELECT key FROM key_result WHERE result = ?');
    this.#deleteResult = database.prepare('DELETE FROM key_result WHERE result = ?');
    this.#isAlive = database.prepare(
      `SELECT EXISTS (SELECT 1 FROM key_result WHERE key = ?1 AND result <> ?2)
        OR EXISTS (SELECT 1 FROM key_link WHERE from_key = ?1) AS alive`,
    );
    this.#selectSources = database.prepare(
      `SELECT DISTINCT from_key FROM key_link WHERE to_key = ? LIMIT ${pageSize}`,
    );
    this.#selectIncoming = database.prepare(
      `SELECT from_key, input, selector FROM key_link WHERE to_key = ? AND from_key LIKE 'sha256:%' LIMIT ${pageSize}`,
    );
    this.#deleteLinks = database.prepare('DELETE FROM key_link WHERE to_key = ? AND from_key = ?');
    this.#selectIds = database.prepare(
      `SELECT DISTINCT result FROM key_result WHERE result > ? ORDER BY result LIMIT ${pageSize}`,
    );
  }

  async targets(links: readonly KeyLink[]): Promise<readonly (readonly KeyId[])[]> {
    const answers: KeyId[][] = [];
    for (const { from, operation, output, input, selector } of links) {
      if (answers.length % pageSize === pageSize - 1) await eventLoopTurn();
      const rows = this.#selectTargets.all(from, operation, output, input, selector ?? '');
      answers.push(rows.map((row) => row.to_key as KeyId));
    }
    return answers;
  }

  async results(keys: readonly KeyId[]): Promise<readonly KeyResult[]> {
    return newestFirst(
      keys.flatMap((key) =>
        this.#selectResults.all(key).map((row) => ({
          id: row.result as string,
          createdAt: new Date(row.created_at as number),
        })),
      ),
    );
  }

  commit(change: KeyChange): Promise<void> {
    return this.#write(() => this.#commitSteps(change), { deletes: false });
  }

  async waysFromRecords(key: KeyId): Promise<readonly WayToKey[]> {
    return this.#selectIncoming.all(key).map((row) => ({
      from: row.from_key as KeyId,
      input: row.input as number,
      selector: row.selector === '' ? undefined : (row.selector as Digest),
    }));
  }

  dropResult(id: string): Promise<void> {
    return this.#write(() => this.#dropSteps(id), { deletes: true });
  }

  async *resultIds(): AsyncIterable<string> {
    for (let last = ''; ; ) {
      const page = this.#selectIds.all(last).map((row) => row.result as string);
      yield* page;
      if (page.length < pageSize) return;
      await eventLoopTurn();
      last = page.at(-1)!;
    }
  }

  *#commitSteps({ links = [], results = [] }: KeyChange): Iterator<void> {
    for (const { from, operation, output, input, selector, to } of links) {
      this.#insertLink.run(from, operation, output, input, selector ?? '', to);
      yield;
    }
    for (const { key, result } of results) this.#insertResult.run(key, result.id, result.createdAt.getTime());
  }

  *#dropSteps(id: string): Iterator<void> {
    const suspects = this.#selectKeysOfResult.all(id).map((row) => row.key as string);
    for (let key = suspects.pop(); key !== undefined; key = suspects.pop()) {
      yield;
      if (this.#isAlive.get(key, id)!.alive) continue;
      for (let sources = this.#sourcesOf(key); sources.length > 0; sources = this.#sourcesOf(key))
        for (const source of sources) {
          this.#deleteLinks.run(key, source);
          suspects.push(source);
          yield;
        }
    }
    this.#deleteResult.run(id);
  }

  #sourcesOf(key: string): string[] {
    return this.#selectSources.all(key).map((row) => row.from_key as string);
  }

  #write(begin: () => Iterator<void>, { deletes }: { readonly deletes: boolean }): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#writes.push({ begin, steps: begin(), alone: false, deletes, resolve, reject });
      this.#schedule();
    });
  }

  #schedule(): void {
    if (this.#scheduled || this.#writes.length === 0) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      this.#writeForAWhile();
      this.#schedule();
    });
  }

  /** Does as many steps as fit into a slice of time, in one transaction. */
  #writeForAWhile(): void {
    this.#slice.begin();
    let begun: Write[] = [];
    let ended = 0;
    const [first] = this.#writes;
    const run = first!.alone && first!.deletes ? removeRows : transaction;
    try {
      run(this.#database, () => {
        for (const write of begun) write.steps = write.begin();
        begun = [];
        ended = 0;
        for (const write of this.#writes) {
          if (begun.length > 0 && (write.alone || begun[0]!.alone)) break;
          begun.push(write);
          while (!write.steps.next().done) if (this.#slice.over) return;
          ended++;
          if (this.#slice.over) return;
        }
      });
    } catch (error) {
      // With no write begun, the transaction itself has failed, on behalf of the first one.
      this.#failed(begun.length > 0 ? begun : [first!], error);
      return;
    }
    for (const { resolve } of this.#writes.splice(0, ended)) resolve();
  }

  /** Rejects a write that was alone; those that shared a transaction are tried again one by one. */
  #failed(writes: readonly Write[], error: unknown): void {
    if (writes.length === 1 && (writes[0]!.alone || !writes[0]!.deletes)) {
      this.#writes.shift();
      writes[0]!.reject(error);
      return;
    }
    for (const write of writes) {
      write.steps = write.begin();
      write.alone = true;
    }
  }
}

/** Returns each result once, the newest first. */
function newestFirst(results: readonly KeyResult[]): KeyResult[] {
  const newest = new Map<string, KeyResult>();
  for (const result of results) {
    const known = newest.get(result.id);
    if (!known || known.createdAt < result.createdAt) newest.set(result.id, result);
  }
  return [...newest.values()].sort((a, b) => b.createdAt.getTime() - a.createdAt.getTime());
}
