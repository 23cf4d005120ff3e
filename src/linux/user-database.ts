import { closeSync, readSync } from 'node:fs';
import { errnoOf, KilnError } from '../base/errors.ts';
import { openRegularFile } from '../base/open-regular-file.ts';
import { resolveInRoot } from '../base/rooted-path.ts';
import { type GroupEntry, type PasswdEntry, parseGroup, parsePasswd } from '../base/text/passwd.ts';

/** Enough for every real file; a tree cannot make Kiln read more. */
const maxBytes = 10 << 20;

/** The files in which users and groups are. */
export const userDatabase = ['/etc/passwd', '/etc/group'] as const;

/** The users that the tree at `root` knows; none when it has no `/etc/passwd`. Blocks. */
export function readPasswd(root: string): PasswdEntry[] {
  return parsePasswd(readSmallFile(root, userDatabase[0]));
}

/** The groups that the tree at `root` knows; none when it has no `/etc/group`. Blocks. */
export function readGroup(root: string): GroupEntry[] {
  return parseGroup(readSmallFile(root, userDatabase[1]));
}

function readSmallFile(root: string, name: string): string {
  const file = opened(resolveInRoot(root, name), name);
  if (!file) return '';
  const { descriptor, stats } = file;
  try {
    if (stats.size > maxBytes)
      throw new KilnError('failed_precondition', `${name} is larger than ${maxBytes} bytes`);
    const buffer = Buffer.allocUnsafe(stats.size);
    return buffer.toString('utf8', 0, readSync(descriptor, buffer, 0, stats.size, 0));
  } finally {
    closeSync(descriptor);
  }
}

/** Undefined when there is no such file. */
function opened(path: string, name: string) {
  try {
    const file = openRegularFile(path);
    if (file) return file;
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === 'ENOENT' || errno === 'ENOTDIR') return undefined;
    throw error;
  }
  throw new KilnError('failed_precondition', `${name} is not a regular file`);
}
