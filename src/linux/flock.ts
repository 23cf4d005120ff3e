import {
  closeSync,
  constants as fsConstants,
  ftruncateSync,
  mkdirSync,
  openSync,
  readFileSync,
  writeSync,
} from 'node:fs';
import { constants } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { abortable, throwIfAborted } from '../base/async/lifetime.ts';
import { KilnError } from '../base/errors.ts';
import { bind, lastErrno, SystemError } from './libc.ts';

const flock = bind('int flock(int fd, int operation)');

const exclusive = 2;
const nonBlocking = 4;

/** Milliseconds between two tries: the kernel tells of a lock that is free only to a thread that does nothing but wait. */
const retryInterval = 50;

/**
 * Takes the lock that makes this process the only one working on `root` (created if missing), by flock(2) on a file in
 * it: the kernel gives it back when the process ends, however it ends. Throws `failed_precondition`, naming the process
 * that holds it.
 */
export function lockRoot(root: string): Disposable {
  const taken = tryLock(root);
  if ('lock' in taken) return taken.lock;
  throw new KilnError(
    'failed_precondition',
    `${root} is in use by another daemon${taken.holder ? ` (process ${taken.holder})` : ''}`,
    { hint: 'stop that daemon, or name another root with --root' },
  );
}

/** The same, but waits for who holds it; tells `onWait` once, who that is. */
export async function waitForRoot(
  root: string,
  {
    signal,
    onWait,
  }: { readonly signal?: AbortSignal; readonly onWait: (holder: string | undefined) => void },
): Promise<Disposable> {
  for (let told = false; ; told = true) {
    throwIfAborted(signal);
    const taken = tryLock(root);
    if ('lock' in taken) return taken.lock;
    if (!told) onWait(taken.holder);
    await abortable(sleep(retryInterval), signal);
  }
}

function tryLock(root: string): { readonly lock: Disposable } | { readonly holder: string | undefined } {
  mkdirSync(root, { recursive: true, mode: 0o700 });
  const file = path.join(root, 'lock');
  const fd = openSync(file, fsConstants.O_RDWR | fsConstants.O_CREAT, 0o600);
  if (flock(fd, exclusive | nonBlocking) === -1) {
    const errno = lastErrno();
    const holder = readFileSync(file, 'utf8').split('\n')[0];
    closeSync(fd);
    if (errno !== constants.errno.EWOULDBLOCK) throw new SystemError('flock', errno, file);
    return { holder: holder || undefined };
  }
  // Written over what is there: on a full disk a block that was given back is not to be had again.
  ftruncateSync(fd, writeSync(fd, `${process.pid}\n`, 0));
  return { lock: { [Symbol.dispose]: () => closeSync(fd) } };
}
