import { closeSync, constants } from 'node:fs';
import { ReadStream } from 'node:tty';
import { errnoOf } from '../../base/errors.ts';
import { bind, check } from '../libc.ts';

const openMaster = bind('int posix_openpt(int flags)');
const unlock = bind('int unlockpt(int fd)');
const ioctl = bind('int ioctl(int fd, unsigned long request, void *argument)');
const ioctlWithNumber = bind('int ioctl(int fd, unsigned long request, int argument)');
const getAttributes = bind('int tcgetattr(int fd, void *termios)');
const makeRaw = bind('void cfmakeraw(void *termios)');
const setAttributes = bind('int tcsetattr(int fd, int actions, const void *termios)');

const closeOnExec = 0o2000000;
const setWindowSize = 0x5414;
const getPeer = 0x5441;
const applyNow = 0;
/** More than the structure of any libc takes. */
const termiosSize = 256;

export interface TerminalSize {
  readonly rows: number;
  readonly columns: number;
}

/** A terminal of which this process is the other side: it writes what is typed, and reads what is shown. */
export class PseudoTerminal implements Disposable {
  /** The side of the processes. As long as it is open here the terminal lasts: they may all close it and open it again. */
  readonly peer: number;
  readonly #master: number;
  #stream: ReadStream | undefined;
  #isPeerOpen = true;
  #isDisposed = false;

  /** Takes over the side that types and reads, also when it fails. Throws a SystemError for what is no such side. */
  constructor(master: number) {
    this.#master = master;
    try {
      check(unlock(master), 'unlockpt');
      const flags = constants.O_RDWR | constants.O_NOCTTY | closeOnExec;
      this.peer = check(ioctlWithNumber(master, getPeer, flags), 'ioctl TIOCGPTPEER');
    } catch (error) {
      closeSync(master);
      throw error;
    }
  }

  /** A new one that changes nothing of what passes through it: for a program that hands that on to another terminal. */
  static openRaw(size: TerminalSize): PseudoTerminal {
    const master = check(openMaster(constants.O_RDWR | constants.O_NOCTTY | closeOnExec), 'posix_openpt');
    const terminal = new PseudoTerminal(master);
    try {
      terminal.resize(size);
      const termios = Buffer.alloc(termiosSize);
      check(getAttributes(terminal.peer, termios), 'tcgetattr');
      makeRaw(termios);
      check(setAttributes(terminal.peer, applyNow, termios), 'tcsetattr');
      return terminal;
    } catch (error) {
      terminal[Symbol.dispose]();
      throw error;
    }
  }

  /** Has no effect on one that has ended. */
  resize({ rows, columns }: TerminalSize): void {
    if (this.#hasEnded) return;
    check(ioctl(this.#master, setWindowSize, new Uint16Array([rows, columns, 0, 0])), 'ioctl TIOCSWINSZ');
  }

  /**
   * To be called once. Resolves when nobody has the terminal any more, this process included (`release`), and all that was written to it
   * has been taken. While a promise of `onData` is pending, nothing more is passed on.
   */
  start(onData: (data: Uint8Array) => void | Promise<void>): Promise<void> {
    const stream = new ReadStream(this.#master);
    this.#stream = stream;
    let last: void | Promise<void>;
    return new Promise((resolve, reject) => {
      stream.on('data', (data: Uint8Array) => {
        const taken = onData(data);
        if (!taken) return;
        last = taken;
        stream.pause();
        taken.then(
          () => stream.resume(),
          (error) => stream.destroy(error),
        );
      });
      stream.on('error', (error) => {
        // The kernel says so when nobody has the other end any more, and nothing of what was written is left.
        if (errnoOf(error) === 'EIO') Promise.resolve(last).then(resolve, reject);
        else reject(error);
      });
      stream.on('close', () => Promise.resolve(last).then(resolve, reject));
    });
  }

  /** Types. Resolves to true when it was taken, to false when nobody reads it any more. */
  async write(data: Uint8Array): Promise<boolean> {
    const stream = this.#stream;
    if (!stream || this.#hasEnded) return false;
    return await new Promise<boolean>((resolve) => stream.write(data, (error) => resolve(!error)));
  }

  /** Closes the side of the processes here: once they have ended, the terminal does. */
  release(): void {
    if (this.#isPeerOpen) closeSync(this.peer);
    this.#isPeerOpen = false;
  }

  [Symbol.dispose](): void {
    if (this.#isDisposed) return;
    this.#isDisposed = true;
    this.release();
    if (this.#stream) this.#stream.destroy();
    else closeSync(this.#master);
  }

  get #hasEnded(): boolean {
    return this.#isDisposed || (this.#stream?.destroyed ?? false);
  }
}
