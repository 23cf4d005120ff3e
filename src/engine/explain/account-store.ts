import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { setImmediate as eventLoopTurn } from 'node:timers/promises';
import { transaction } from '../../base/database/transaction.ts';
import type { StepAccount } from './step-account.ts';
import type { StepPlace } from './step-place.ts';

/** How many accounts are kept. */
const maxAccounts = 5_000;
/** How many accounts of one place or text are compared, and from how many of the latest builds that had any. */
const maxCandidates = 24;
const latestBuilds = 3;

/** Accounts written in one transaction. */
const pageSize = 100;

/** The accounts of steps that ran, the least recently used dropped first (table `explain_step`). */
export class AccountStore {
  readonly #database: DatabaseSync;
  readonly #get: StatementSync;
  readonly #byText: StatementSync;
  readonly #byPlace: StatementSync;
  readonly #put: StatementSync;
  readonly #use: StatementSync;
  readonly #trim: StatementSync;

  constructor(database: DatabaseSync) {
    this.#database = database;
    database.exec(
      `CREATE TABLE IF NOT EXISTS explain_step (
         key TEXT PRIMARY KEY,
         stage TEXT NOT NULL,
         kind TEXT NOT NULL,
         text TEXT NOT NULL,
         used_at INTEGER NOT NULL,
         account TEXT NOT NULL
       ) STRICT;
       CREATE INDEX IF NOT EXISTS explain_step_place ON explain_step (stage, kind, used_at);
       CREATE INDEX IF NOT EXISTS explain_step_text ON explain_step (text, used_at);
       CREATE INDEX IF NOT EXISTS explain_step_used ON explain_step (used_at)`,
    );
    this.#get = database.prepare('SELECT account FROM explain_step WHERE key = ?');
    this.#byText = database.prepare(
      `SELECT account, used_at FROM explain_step WHERE text = ? ORDER BY used_at DESC LIMIT ${maxCandidates}`,
    );
    this.#byPlace = database.prepare(
      `SELECT account, used_at FROM explain_step WHERE stage = ? AND kind = ? ORDER BY used_at DESC LIMIT ${maxCandidates}`,
    );
    this.#put = database.prepare(
      'INSERT OR REPLACE INTO explain_step (key, stage, kind, text, used_at, account) VALUES (?, ?, ?, ?, ?, ?)',
    );
    this.#use = database.prepare('UPDATE explain_step SET used_at = ? WHERE key = ?');
    this.#trim = database.prepare(
      `DELETE FROM explain_step WHERE key IN (
         SELECT key FROM explain_step ORDER BY used_at
         LIMIT max(0, min(${pageSize}, (SELECT count(*) FROM explain_step) - ${maxAccounts})))`,
    );
  }

  get(key: string): StepAccount | undefined {
    const row = this.#get.get(key);
    return row && accountOf(row);
  }

  /** Accounts of steps with the same text, and of those that the last build had in the same place. The most recently used come first. */
  candidates({ stage, kind, text }: StepPlace): readonly StepAccount[] {
    const ofPlace = stage === '' ? [] : ofLatest(1, this.#byPlace.iterate(stage, kind));
    const rows = [...ofLatest(latestBuilds, this.#byText.iterate(text)), ...ofPlace];
    return [...new Map(rows.map((row) => [String(row.account), row])).values()].map(accountOf);
  }

  /** Saves what a build made and used, each in order. Lets the event loop turn: builds may have thousands of steps. */
  async save(made: readonly StepAccount[], used: readonly string[]): Promise<void> {
    const now = Date.now();
    for (let at = 0; at < used.length; at += pageSize) {
      const page = used.slice(at, at + pageSize);
      transaction(this.#database, () => {
        for (const key of page) this.#use.run(now, key);
      });
      await eventLoopTurn();
    }
    const kept = made.slice(-maxAccounts);
    for (let at = 0; at < kept.length; at += pageSize) {
      const page = kept.slice(at, at + pageSize);
      transaction(this.#database, () => {
        for (const account of page) {
          const { stage, kind, text } = account.place;
          this.#put.run(account.key, stage, kind, text, now, JSON.stringify(account));
        }
        this.#trim.run();
      });
      await eventLoopTurn();
    }
  }
}

/** The first rows, up to those of `builds` builds. All rows that one build made or used have the same time. */
function ofLatest<Row extends Record<string, unknown>>(builds: number, rows: Iterable<Row>): readonly Row[] {
  const times = new Set<unknown>();
  const found: Row[] = [];
  for (const row of rows) {
    if (times.add(row.used_at).size > builds) break;
    found.push(row);
  }
  return found;
}

function accountOf(row: Record<string, unknown>): StepAccount {
  return JSON.parse(String(row.account)) as StepAccount;
}
