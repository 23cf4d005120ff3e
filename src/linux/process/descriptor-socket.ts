import { closeSync, constants as files, openSync, rmSync } from 'node:fs';
import { constants } from 'node:os';
import path from 'node:path';
import { addressOf, bind, check, lastErrno, SystemError } from '../libc.ts';

const makeSocket = bind('int socket(int domain, int type, int protocol)');
const bindTo = bind('int bind(int fd, const void *address, unsigned int size)');
const listen = bind('int listen(int fd, int backlog)');
const accept = bind('int accept4(int fd, void *address, void *size, int flags)');
const receive = bind('long recvmsg(int fd, void *message, int flags)');

const unixDomain = 1;
const stream = 1;
const nonBlocking = 0o4000;
const closeOnExec = 0o2000000;
const closeReceivedOnExec = 0x40000000;
const socketLevel = 1;
const descriptors = 1;
/** `struct cmsghdr` up to its data, and all of it with one descriptor: the kernel closes those that do not fit. */
const controlHeader = 16;
const controlSize = controlHeader + 4;

/** A Unix socket in the file system, where another process hands over one open file, as OCI runtimes do with terminals. */
export class DescriptorSocket implements Disposable {
  readonly #file: string;
  readonly #listener: number;
  #connection: number | undefined;
  #isOpen = true;

  /** Makes `file`, which must not exist. Throws a SystemError. */
  constructor(file: string) {
    this.#file = file;
    this.#listener = check(makeSocket(unixDomain, stream | nonBlocking | closeOnExec, 0), 'socket');
    try {
      bindAt(this.#listener, file);
      check(listen(this.#listener, 1), 'listen', file);
    } catch (error) {
      closeSync(this.#listener);
      throw error;
    }
  }

  /** The file if it has been handed over, which is the caller's to close then. Does not wait. Throws a SystemError. */
  take(): number | undefined {
    if (!this.#isOpen) return undefined;
    this.#connection ??= unlessItWaits(
      accept(this.#listener, null, null, nonBlocking | closeOnExec),
      'accept4',
    );
    if (this.#connection === undefined) return undefined;
    const payload = Buffer.alloc(1);
    const control = Buffer.alloc(controlSize);
    const piece = BigUint64Array.of(addressOf(payload), BigInt(payload.length));
    const message = BigUint64Array.of(
      ...[0n, 0n],
      ...[addressOf(asBytes(piece)), 1n],
      ...[addressOf(control), BigInt(control.length)],
      0n,
    );
    const received = receive(this.#connection, message, closeReceivedOnExec);
    if (unlessItWaits(received, 'recvmsg') === undefined) return undefined;
    const [size] = new BigUint64Array(Uint8Array.from(control.subarray(0, 8)).buffer);
    const [level, type, descriptor] = new Int32Array(Uint8Array.from(control.subarray(8)).buffer);
    return Number(size) === controlSize && level === socketLevel && type === descriptors
      ? descriptor
      : undefined;
  }

  [Symbol.dispose](): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    if (this.#connection !== undefined) closeSync(this.#connection);
    closeSync(this.#listener);
    rmSync(this.#file, { force: true });
  }
}

/** Reached through its directory: addresses of sockets are short, paths need not be. */
function bindAt(fd: number, file: string): void {
  const directory = openSync(path.dirname(file), files.O_RDONLY | files.O_DIRECTORY);
  try {
    const name = `/proc/self/fd/${directory}/${path.basename(file)}\0`;
    const address = Buffer.concat([asBytes(Uint16Array.of(unixDomain)), Buffer.from(name)]);
    check(bindTo(fd, address, address.length), 'bind', file);
  } finally {
    closeSync(directory);
  }
}

function asBytes(numbers: Uint16Array | BigUint64Array): Buffer {
  return Buffer.from(numbers.buffer, numbers.byteOffset, numbers.byteLength);
}

/** Undefined when there is nothing yet. */
function unlessItWaits(result: number, call: string): number | undefined {
  if (result !== -1) return result;
  if (lastErrno() === constants.errno.EAGAIN) return undefined;
  throw new SystemError(call, lastErrno());
}
