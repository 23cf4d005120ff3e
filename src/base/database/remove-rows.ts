import path from 'node:path';
import type { DatabaseSync } from 'node:sqlite';
import { asKilnError } from '../errors.ts';
import { DiskReserve } from './disk-reserve.ts';
import { transaction } from './transaction.ts';

/**
 * Runs `work`, which deletes rows, in one transaction, so that a full disk can be made empty: where there is no room to
 * write the deletions down, the log is moved into the database, to be written over from its start, then the disk reserve
 * beside the database is spent. `work` may run several times, each time with nothing done before. Throws when all of
 * that does not help; nothing is deleted then. In an open transaction, runs as a part of that.
 */
export function removeRows(database: DatabaseSync, work: () => void): void {
  if (database.isTransaction) {
    work();
    return;
  }
  for (const makeRoom of [restartLog, spendReserve]) {
    try {
      transaction(database, work);
      return;
    } catch (error) {
      if (asKilnError(error).code !== 'resource_exhausted') throw error;
      makeRoom(database);
    }
  }
  transaction(database, work);
}

function restartLog(database: DatabaseSync): void {
  try {
    database.exec('PRAGMA wal_checkpoint(RESTART)');
  } catch (error) {
    // New pages in the log may need room in the database.
    if (asKilnError(error).code !== 'resource_exhausted') throw error;
  }
}

function spendReserve(database: DatabaseSync): void {
  const file = database.location();
  if (file !== null) new DiskReserve(path.dirname(file)).spend();
}
