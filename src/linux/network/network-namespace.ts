import { closeSync, openSync } from 'node:fs';
import { bind, check } from '../libc.ts';

const unshare = bind('int unshare(int flags)');
const setns = bind('int setns(int fd, int type)');

const networkFlag = 0x40000000;
/** The namespace of the calling thread, where `/proc/self` would name that of the main thread. */
const ofThread = '/proc/thread-self/ns/net';

/**
 * A network namespace (network_namespaces(7)) that lives as long as this is not disposed of or a process is in it. The end of this process, however it
 * comes, is the end of that hold.
 */
export class NetworkNamespace implements Disposable {
  readonly #fd: number;

  private constructor(fd: number) {
    this.#fd = fd;
  }

  /** A new one, in which there is nothing but the loopback interface, down. Throws a SystemError. */
  static create(): NetworkNamespace {
    return aside(() => {
      check(unshare(networkFlag), 'unshare CLONE_NEWNET');
      return NetworkNamespace.open(ofThread);
    });
  }

  /** That which a file stands for. Throws what opening it fails with. */
  static open(file: string): NetworkNamespace {
    return new NetworkNamespace(openSync(file, 'r'));
  }

  /** A name by which other processes can open it. */
  get path(): string {
    return `/proc/${process.pid}/fd/${this.#fd}`;
  }

  /** For messages that name a namespace by an open file of the sender. */
  get descriptor(): number {
    return this.#fd;
  }

  /** Does something with the thread in this namespace. `work` does not wait: a promise that it returns goes on outside. Throws what `work` throws. */
  run<T>(work: () => T): T {
    return aside(() => {
      check(setns(this.#fd, networkFlag), 'setns');
      return work();
    });
  }

  [Symbol.dispose](): void {
    closeSync(this.#fd);
  }
}

/** Does something that takes the thread into another namespace, and brings it back. */
function aside<T>(work: () => T): T {
  const home = openSync(ofThread, 'r');
  try {
    return work();
  } finally {
    // In the wrong namespace all that the process does from here on would be wrong.
    if (setns(home, networkFlag) === -1) process.abort();
    closeSync(home);
  }
}
