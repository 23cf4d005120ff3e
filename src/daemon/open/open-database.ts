import { chmodSync, closeSync, existsSync, openSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { KilnError } from '../../base/errors.ts';
import { preallocate } from '../../linux/preallocate.ts';

/** Raised when a release cannot read the state of an older one. */
const schemaVersion = 3;
/** Bytes of the log that take no more space when the disk is full: more than any removal writes. */
const reservedLog = 2 << 20;

/**
 * The daemon's one database: every room keeps tables of its own in it. Write-ahead logging makes a killed process lose
 * nothing that was committed, and costs no disk flush a transaction. The log never shrinks while it is open. The connection is the file's only one, so that
 * SQLite needs no shared memory in a mapped file, where a full disk means SIGBUS: `locking_mode` has to come first. Throws `failed_precondition` for the
 * state of another release.
 */
export function openDatabase(file: string): DatabaseSync {
  if (file !== ':memory:') makePrivate(file);
  const database = new DatabaseSync(file);
  database.exec(
    'PRAGMA locking_mode = EXCLUSIVE; PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA foreign_keys = ON; PRAGMA busy_timeout = 5000',
  );
  const { user_version: version } = database.prepare('PRAGMA user_version').get() as { user_version: number };
  if (version !== 0 && version !== schemaVersion) {
    database.close();
    throw new KilnError(
      'failed_precondition',
      `${file} was written by another release (format ${version}, this one reads ${schemaVersion})`,
      {
        hint: 'use that release, or another --root',
      },
    );
  }
  // Also makes sure that the log is there.
  database.exec(`PRAGMA user_version = ${schemaVersion}`);
  preallocate(`${file}-wal`, reservedLog);
  return database;
}

/** Before anything is written: build arguments will be. SQLite gives the files beside it the mode that it has. */
function makePrivate(file: string): void {
  closeSync(openSync(file, 'a', 0o600));
  for (const each of [file, `${file}-wal`]) if (existsSync(each)) chmodSync(each, 0o600);
}
