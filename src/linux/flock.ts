import { closeSync, ftruncateSync, mkdirSync, openSync, readFileSync, writeSync } from 'node:fs';
import { constants } from 'node:os';
import path from 'node:path';
import { KilnError } from '../base/errors.ts';
import { bind, lastErrno, SystemError } from './libc.ts';

const flock = bind('int flock(int fd, int operation)');

const exclusive = 2;
const nonBlocking = 4;

/**
 * Takes the lock that makes this process the only one working on `root` (created if missing), by flock(2) on a file in
 * it: the kernel gives it back when the process ends, however it ends. Throws `failed_precondition`, naming the process
 * that holds it.
 */
export function lockRoot(root: string): Disposable {
  mkdirSync(root, { recursive: true, mode: 0o700 });
  const file = path.join(root, 'lock');
  const fd = openSync(file, 'a+', 0o600);
  if (flock(fd, exclusive | nonBlocking) === -1) {
    const errno = lastErrno();
    const holder = readFileSync(file, 'utf8').trim().split('\n').at(-1);
    closeSync(fd);
    if (errno !== constants.errno.EWOULDBLOCK) throw new SystemError('flock', errno, file);
    throw new KilnError(
      'failed_precondition',
      `${root} is in use by another daemon${holder ? ` (process ${holder})` : ''}`,
      { hint: 'stop that daemon, or name another root with --root' },
    );
  }
  ftruncateSync(fd);
  writeSync(fd, `${process.pid}\n`);
  return { [Symbol.dispose]: () => closeSync(fd) };
}
