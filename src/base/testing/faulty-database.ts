import { DatabaseSync, type SQLInputValue, type StatementSync } from 'node:sqlite';

/** SQLite's codes for a full disk and for one that cannot be read or written. */
export const databaseFaults = { full: 13, inputOutput: 10 } as const;

interface Fault {
  /** Statements that still succeed. */
  left: number;
  readonly code: number;
  readonly lasting: boolean;
}

/** A database of which statements fail on demand, as they do on a bad disk: before they have changed anything. */
export class FaultyDatabase extends DatabaseSync {
  #fault: Fault | undefined;
  #hits = 0;

  /** After `left` statements the next one fails, and with `lasting` all that follow. Undoing a transaction always succeeds. */
  failAfter(left: number, code: number, options: { readonly lasting: boolean }): void {
    this.#fault = { left, code, ...options };
    this.#hits = 0;
  }

  /** From now on none fails. Returns how many have. */
  heal(): number {
    this.#fault = undefined;
    return this.#hits;
  }

  override exec(sql: string): void {
    if (!/^ROLLBACK/.test(sql)) this.#step();
    super.exec(sql);
  }

  override prepare(sql: string): StatementSync {
    const statement = super.prepare(sql);
    const run = statement.run.bind(statement);
    const get = statement.get.bind(statement);
    const all = statement.all.bind(statement);
    return Object.assign(statement, {
      run: (...values: SQLInputValue[]) => this.#stepped(() => run(...values)),
      get: (...values: SQLInputValue[]) => this.#stepped(() => get(...values)),
      all: (...values: SQLInputValue[]) => this.#stepped(() => all(...values)),
    });
  }

  #stepped<Result>(work: () => Result): Result {
    this.#step();
    return work();
  }

  #step(): void {
    const fault = this.#fault;
    if (!fault) return;
    if (fault.left > 0) {
      fault.left--;
      return;
    }
    this.#hits++;
    if (!fault.lasting) this.#fault = undefined;
    // In a transaction, SQLite undoes all of it when the disk is full.
    if (fault.code === databaseFaults.full && this.isTransaction) super.exec('ROLLBACK');
    throw Object.assign(new Error(`statement failed on purpose (${fault.code})`), {
      code: 'ERR_SQLITE_ERROR',
      errcode: fault.code,
    });
  }
}
