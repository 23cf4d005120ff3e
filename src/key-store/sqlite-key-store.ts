import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { setImmediate } from 'node:timers';
import { setImmediate as eventLoopTurn } from 'node:timers/promises';
import { transaction } from '../base/transaction.ts';
import type { KeyChange, KeyId, KeyLink, KeyResult, KeyStore } from '../solver/key-store.ts';
import { newestFirst } from './newest-first.ts';

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

/** Few enough that the event loop waits some milliseconds at most. */
const changesInOneTransaction = 200;

interface PendingCommit {
  readonly change: KeyChange;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/** Reads stop for a turn of the event loop after so many rows or look-ups. */
const pageSize = 1000;

/**
 * Keys in tables of a SQLite database that the caller opens and closes (after the last call has settled). Commits
 * that arrive in the same turn of the event loop share one transaction.
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
  readonly #deleteLinksTo: StatementSync;
  readonly #selectIds: StatementSync;
  readonly #pending: PendingCommit[] = [];

  constructor(database: DatabaseSync) {
    this.#database = database;
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
      'SELECT EXISTS (SELECT 1 FROM key_result WHERE key = ?1) OR EXISTS (SELECT 1 FROM key_link WHERE from_key = ?1) AS alive',
    );
    this.#selectSources = database.prepare('SELECT DISTINCT from_key FROM key_link WHERE to_key = ?');
    this.#deleteLinksTo = database.prepare('DELETE FROM key_link WHERE to_key = ?');
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
    return new Promise((resolve, reject) => {
      if (this.#pending.length === 0) setImmediate(() => this.#flush());
      this.#pending.push({ change, resolve, reject });
    });
  }

  async dropResult(id: string): Promise<void> {
    transaction(this.#database, () => {
      const suspects = this.#selectKeysOfResult.all(id).map((row) => row.key as string);
      this.#deleteResult.run(id);
      for (let key = suspects.pop(); key !== undefined; key = suspects.pop()) {
        if (this.#isAlive.get(key)!.alive) continue;
        const sources = this.#selectSources.all(key).map((row) => row.from_key as string);
        this.#deleteLinksTo.run(key);
        suspects.push(...sources);
      }
    });
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

  #flush(): void {
    const pending = this.#pending.splice(0, changesInOneTransaction);
    if (this.#pending.length > 0) setImmediate(() => this.#flush());
    try {
      transaction(this.#database, () => {
        for (const { change } of pending) this.#write(change);
      });
    } catch (error) {
      if (pending.length === 1) pending[0]!.reject(error);
      else for (const commit of pending) this.#commitAlone(commit);
      return;
    }
    for (const { resolve } of pending) resolve();
  }

  /** One commit that cannot be written must not take its neighbours along. */
  #commitAlone({ change, resolve, reject }: PendingCommit): void {
    try {
      transaction(this.#database, () => this.#write(change));
      resolve();
    } catch (error) {
      reject(error);
    }
  }

  #write({ links = [], results = [] }: KeyChange): void {
    for (const { from, operation, output, input, selector, to } of links)
      this.#insertLink.run(from, operation, output, input, selector ?? '', to);
    for (const { key, result } of results) this.#insertResult.run(key, result.id, result.createdAt.getTime());
  }
}
