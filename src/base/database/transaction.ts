import type { DatabaseSync } from 'node:sqlite';

/**
 * Runs `work` in one transaction, which is rolled back when it throws. In an open one, as a part of that: `work` must
 * change nothing else then than rows, since these may still be rolled back.
 */
export function transaction(database: DatabaseSync, work: () => void): void {
  if (database.isTransaction) {
    work();
    return;
  }
  database.exec('BEGIN IMMEDIATE');
  try {
    work();
    database.exec('COMMIT');
  } catch (error) {
    // On a full disk SQLite has rolled back by itself.
    if (database.isTransaction) database.exec('ROLLBACK');
    throw error;
  }
}
