import { constants, readSync, writeSync } from 'node:fs';
import { constants as system } from 'node:os';
import { errnoOf } from '../../base/errors.ts';
import { bind, check, lastErrno, SystemError } from '../../linux/libc.ts';
import { mount } from '../../linux/mount.ts';
import { mountFlags } from '../../linux/mount-flags.ts';

const open = bind('int open(const char *path, int flags)');
const send = bind('long send(int socket, const void *bytes, unsigned long size, int flags)');
const poll = bind('int poll(void *descriptors, unsigned long count, int timeout)');

const closeOnExec = 0o2000000;
const readable = 1;
/** Bytes of a `pollfd`. */
const entrySize = 8;

/** Opens a connection to the kernel's FUSE, which reads without waiting. Throws a SystemError: `ENOENT` or `ENODEV` where the machine has none. */
export function openFuse(): number {
  const device = '/dev/fuse';
  return check(open(device, constants.O_RDWR | constants.O_NONBLOCK | closeOnExec), 'open', device);
}

/**
 * Mounts a connection at `target`, a directory, read-only. The kernel checks permissions by modes, owners and ACLs, and lets everybody in
 * who passes them. Throws a SystemError.
 */
export function mountFuse(connection: number, target: string): void {
  mount({
    source: 'kiln-layer',
    target,
    type: 'fuse.kiln',
    flags: mountFlags.rdonly,
    data: `fd=${connection},rootmode=40000,user_id=0,group_id=0,default_permissions,allow_other`,
  });
}

const dontWait = 0x40;

/** Sends as much as a socket has room for. Returns the number of bytes. Throws a SystemError. */
export function sendNow(socket: number, bytes: Uint8Array): number {
  if (bytes.length === 0) return 0;
  const sent = Number(send(socket, bytes, bytes.length, dontWait));
  if (sent >= 0) return sent;
  const { EAGAIN, EINTR } = system.errno;
  if ([EAGAIN, EINTR].includes(lastErrno())) return 0;
  throw new SystemError('send', lastErrno());
}

/** Waits until some of the descriptors can be read or have failed, and returns these; none after `timeout` milliseconds (-1: never). Throws a SystemError. */
export function pollDescriptors(descriptors: readonly number[], timeout: number): readonly number[] {
  const list = Buffer.alloc(entrySize * descriptors.length);
  for (const [index, descriptor] of descriptors.entries()) {
    list.writeInt32LE(descriptor, index * entrySize);
    list.writeInt16LE(readable, index * entrySize + 4);
  }
  const count = poll(list, descriptors.length, timeout);
  if (count === -1) {
    if (lastErrno() === system.errno.EINTR) return [];
    throw new SystemError('poll', lastErrno());
  }
  return descriptors.filter((_, index) => list.readInt16LE(index * entrySize + 6) !== 0);
}

/** Reads what is there. Returns the number of bytes: 0 when that is nothing, or the end. Throws a SystemError: `ENODEV` when the mount has ended. */
export function readNow(descriptor: number, buffer: Buffer): number {
  try {
    return readSync(descriptor, buffer);
  } catch (error) {
    // ENOENT: FUSE has a request that nobody waits for any more.
    if (['EAGAIN', 'EINTR', 'ENOENT'].includes(errnoOf(error) ?? '')) return 0;
    throw error;
  }
}

/** Gives the kernel an answer, unless nobody waits for it any more or the mount has ended. Throws a SystemError otherwise. */
export function answerFuse(connection: number, answer: Uint8Array): void {
  try {
    writeSync(connection, answer);
  } catch (error) {
    if (!['ENOENT', 'ENODEV', 'EBADF'].includes(errnoOf(error) ?? '')) throw error;
  }
}
