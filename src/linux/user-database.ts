import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';
import { errnoOf, KilnError } from '../base/errors.ts';
import { resolveInRoot } from '../base/rooted-path.ts';
import { type GroupEntry, type PasswdEntry, parseGroup, parsePasswd } from '../base/text/passwd.ts';

/** Enough for every real file; a tree cannot make Kiln read more. */
const maxBytes = 10 << 20;

/** The users that the tree at `root` knows; none when it has no `/etc/passwd`. Blocks. */
export function readPasswd(root: string): PasswdEntry[] {
  return parsePasswd(readSmallFile(root, '/etc/passwd'));
}

/** The groups that the tree at `root` knows; none when it has no `/etc/group`. Blocks. */
export function readGroup(root: string): GroupEntry[] {
  return parseGroup(readSmallFile(root, '/etc/group'));
}

function readSmallFile(root: string, name: string): string {
  let fd: number;
  try {
    fd = openSync(resolveInRoot(root, name), constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === 'ENOENT' || errno === 'ENOTDIR') return '';
    throw error;
  }
  try {
    const stat = fstatSync(fd);
    if (!stat.isFile()) throw new KilnError('failed_precondition', `${name} is not a regular file`);
    if (stat.size > maxBytes)
      throw new KilnError('failed_precondition', `${name} is larger than ${maxBytes} bytes`);
    const buffer = Buffer.allocUnsafe(stat.size);
    return buffer.toString('utf8', 0, readSync(fd, buffer, 0, stat.size, 0));
  } finally {
    closeSync(fd);
  }
}
