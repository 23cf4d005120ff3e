import { closeSync } from 'node:fs';
import { Socket } from 'node:net';
import { openPipe } from './pipe.ts';

/**
 * A pipe from a child process. Node's own `stdio: 'pipe'` is a socket pair, and a program cannot open a socket through
 * `/dev/stdout`, as many do.
 */
export class OutputPipe implements Disposable {
  /** For the child's `stdio`; `start` closes it here. */
  readonly writeEnd: number;
  readonly #readEnd: number;
  #reader: Socket | undefined;
  #isDisposed = false;

  constructor() {
    const { readEnd, writeEnd } = openPipe();
    this.#readEnd = readEnd;
    this.writeEnd = writeEnd;
  }

  /**
   * To be called once the child has started. Resolves when the last process holding the write end has closed it. While a promise of
   * `onData` is pending, nothing more is read.
   */
  start(onData: (data: Uint8Array) => void | Promise<void>): Promise<void> {
    closeSync(this.writeEnd);
    const socket = new Socket({ fd: this.#readEnd, readable: true, writable: false });
    this.#reader = socket;
    return new Promise((resolve, reject) => {
      socket.on('data', (data: Uint8Array) => {
        const taken = onData(data);
        if (!taken) return;
        socket.pause();
        taken.then(
          () => socket.resume(),
          (error) => socket.destroy(error),
        );
      });
      socket.on('error', reject);
      socket.on('close', () => resolve());
    });
  }

  [Symbol.dispose](): void {
    if (this.#isDisposed) return;
    this.#isDisposed = true;
    if (this.#reader) {
      this.#reader.destroy();
      return;
    }
    closeSync(this.writeEnd);
    closeSync(this.#readEnd);
  }
}
