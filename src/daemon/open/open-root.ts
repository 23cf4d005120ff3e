import { chmod, chown, mkdir, stat } from 'node:fs/promises';
import path from 'node:path';
import { getegid, geteuid } from 'node:process';
import type { DatabaseSync } from 'node:sqlite';
import { DiskReserve } from '../../base/database/disk-reserve.ts';
import { errnoOf, KilnError } from '../../base/errors.ts';
import { openDatabase } from './open-database.ts';

/** The directory in which an engine keeps everything. No other process works in it until this is disposed. */
export interface EngineRoot extends AsyncDisposable {
  /** An absolute path. */
  readonly directory: string;
  readonly database: DatabaseSync;
  readonly databaseFile: string;
  /** Space that is given back when the disk is full, so that things can still be removed. */
  readonly reserve: DiskReserve;
}

/** The sticky bit, as of /tmp. */
const sharedDirectory = 0o1000;

/**
 * Makes the directory, or takes over the one that is there, locks it and opens its database. Throws `invalid_argument`,
 * `permission_denied` or `failed_precondition` for a directory that cannot be used, and what `lock` throws.
 */
export async function openRoot(
  name: string,
  lock: (root: string) => Disposable | Promise<Disposable>,
): Promise<EngineRoot> {
  const directory = path.resolve(name);
  await using resources = new AsyncDisposableStack();
  await prepareRoot(directory);
  resources.use(await lock(directory));
  const reserve = new DiskReserve(directory);
  reserve.adjust();
  // The next start needs the space that the database's log took.
  resources.defer(() => reserve.setAside());
  const databaseFile = path.join(directory, 'kiln.db');
  const database = resources.adopt(openDatabase(databaseFile), (open) => open.close());
  const owned = resources.move();
  return { directory, database, databaseFile, reserve, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

/**
 * Lets nobody but this user into the directory, whatever mode it had: trees of steps are in it, set-uid programs included, and so
 * are build arguments and logs. Containers need no way through it, since their runtime mounts what they see.
 */
async function prepareRoot(root: string): Promise<void> {
  try {
    await mkdir(root, { recursive: true, mode: 0o700 });
    const { mode, uid } = await stat(root);
    if (mode & sharedDirectory) {
      throw new KilnError('invalid_argument', `cannot use ${root} as root: others keep files in it`, {
        hint: 'name a directory in it with --root',
      });
    }
    if (uid !== geteuid?.()) await chown(root, geteuid?.() ?? 0, getegid?.() ?? 0);
    await chmod(root, 0o700);
  } catch (cause) {
    if (cause instanceof KilnError) throw cause;
    throw new KilnError(
      errnoOf(cause) === 'EACCES' || errnoOf(cause) === 'EPERM' ? 'permission_denied' : 'failed_precondition',
      `cannot use ${root} as root: ${(cause as Error).message}`,
      { cause, hint: 'run as root, or choose another place with --root' },
    );
  }
}
