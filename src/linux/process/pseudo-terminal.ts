import { closeSync, constants, openSync } from 'node:fs';
import { ReadStream } from 'node:tty';
import { errnoOf } from '../../base/errors.ts';
import { bind, check } from '../libc.ts';

const openMaster = bind('int posix_openpt(int flags)');
const grant = bind('int grantpt(int fd)');
const unlock = bind('int unlockpt(int fd)');
const nameOfSlave = bind('int ptsname_r(int fd, _Out_ void *name, size_t size)');
const ioctl = bind('int ioctl(int fd, unsigned long request, void *argument)');

const closeOnExec = 0o2000000;
const setWindowSize = 0x5414;
const maxName = 256;

export interface TerminalSize {
  readonly rows: number;
  readonly columns: number;
}

/** A terminal of which this process is the other side: it writes what is typed, and reads what is shown. */
export class PseudoTerminal implements Disposable {
  /** For the standard streams of a child; `start` closes it here. */
  readonly childEnd: number;
  readonly #master: number;
  #stream: ReadStream | undefined;
  #isChildEndOpen = true;

  constructor(size: TerminalSize) {
    this.#master = check(openMaster(constants.O_RDWR | constants.O_NOCTTY | closeOnExec), 'posix_openpt');
    try {
      check(grant(this.#master), 'grantpt');
      check(unlock(this.#master), 'unlockpt');
      const name = Buffer.alloc(maxName);
      check(nameOfSlave(this.#master, name, name.length), 'ptsname_r');
      const path = name.toString('utf8', 0, name.indexOf(0));
      this.resize(size);
      this.childEnd = openSync(path, constants.O_RDWR | constants.O_NOCTTY);
    } catch (error) {
      closeSync(this.#master);
      throw error;
    }
  }

  /** Not to be called once `start` has resolved. */
  resize(size: TerminalSize): void {
    setSize(this.#master, size);
  }

  /**
   * To be called once the child has started. Resolves when the last process that has the terminal has closed it. While a promise of
   * `onData` is pending, nothing more is read.
   */
  start(onData: (data: Uint8Array) => void | Promise<void>): Promise<void> {
    this.#closeChildEnd();
    const stream = new ReadStream(this.#master);
    this.#stream = stream;
    return new Promise((resolve, reject) => {
      stream.on('data', (data: Uint8Array) => {
        const taken = onData(data);
        if (!taken) return;
        stream.pause();
        taken.then(
          () => stream.resume(),
          (error) => stream.destroy(error),
        );
      });
      // The kernel says so when nobody has the other end any more.
      stream.on('error', (error) => (errnoOf(error) === 'EIO' ? resolve() : reject(error)));
      stream.on('close', () => resolve());
    });
  }

  /** Types. Resolves when it was taken; what nobody reads any more is dropped. */
  async write(data: Uint8Array): Promise<void> {
    const stream = this.#stream;
    if (!stream || stream.destroyed) return;
    await new Promise<void>((resolve) => stream.write(data, () => resolve()));
  }

  [Symbol.dispose](): void {
    this.#closeChildEnd();
    if (this.#stream) this.#stream.destroy();
    else closeSync(this.#master);
  }

  #closeChildEnd(): void {
    if (this.#isChildEndOpen) closeSync(this.childEnd);
    this.#isChildEndOpen = false;
  }
}

/** Changes the size of the terminal at `path`, and tells the processes in its foreground. Throws when there is none. */
export function resizeTerminal(path: string, size: TerminalSize): void {
  const fd = openSync(path, constants.O_RDWR | constants.O_NOCTTY | constants.O_NONBLOCK);
  try {
    setSize(fd, size);
  } finally {
    closeSync(fd);
  }
}

function setSize(fd: number, { rows, columns }: TerminalSize): void {
  check(ioctl(fd, setWindowSize, new Uint16Array([rows, columns, 0, 0])), 'ioctl TIOCSWINSZ');
}
