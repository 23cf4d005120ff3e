import { closeSync } from 'node:fs';
import { isIPv4 } from 'node:net';
import { bind, check } from '../libc.ts';

const makeSocket = bind('int socket(int domain, int type, int protocol)');
const bindTo = bind('int bind(int fd, const void *address, unsigned int size)');
const listen = bind('int listen(int fd, int backlog)');

const ipv4 = 2;
const types = { tcp: 1, udp: 2 } as const;
const nonBlocking = 0o4000;
const closeOnExec = 0o2000000;
const backlog = 128;

/**
 * A socket at an IPv4 address and port, in the network namespace of the thread: Node's own make theirs some time after they were asked to. Returns its
 * descriptor, which is the caller's. Throws a SystemError.
 */
export function openListener(kind: 'tcp' | 'udp', address: string, port: number): number {
  if (!isIPv4(address)) throw new TypeError(`${address} is no IPv4 address`);
  const fd = check(makeSocket(ipv4, types[kind] | nonBlocking | closeOnExec, 0), 'socket');
  try {
    // struct sockaddr_in: the family in the machine's order, port and address in the network's.
    const name = Buffer.alloc(16);
    name.set(new Uint8Array(Uint16Array.of(ipv4).buffer), 0);
    name.writeUInt16BE(port, 2);
    name.set(address.split('.').map(Number), 4);
    check(bindTo(fd, name, name.length), 'bind', `${address}:${port}`);
    if (kind === 'tcp') check(listen(fd, backlog), 'listen', `${address}:${port}`);
    return fd;
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}
