import { readFile } from 'node:fs/promises';
import { setTimeout as pause } from 'node:timers/promises';
import { resizeTerminal, type TerminalSize } from '../linux/process/pseudo-terminal.ts';
import type { ProcessControl } from './executor.ts';

/** Milliseconds between looks at a container that is being started. */
const startInterval = 20;

/** Controls a container through the runtime that runs it in the foreground. Disposed when the runtime's process has ended. */
export class RuntimeControl implements ProcessControl, Disposable {
  readonly #runtimePid: number;
  readonly #pidFile: string;
  readonly #resizeOuter: (size: TerminalSize) => void;
  readonly #ended = new AbortController();
  #wanted: TerminalSize | undefined;

  /** `pidFile` is where the runtime writes the container's process; `resizeOuter` resizes the terminal that the runtime has. */
  constructor(runtimePid: number, pidFile: string, resizeOuter: (size: TerminalSize) => void) {
    this.#runtimePid = runtimePid;
    this.#pidFile = pidFile;
    this.#resizeOuter = resizeOuter;
  }

  /** Runtimes pass on what they are sent. */
  signal(name: NodeJS.Signals): void {
    if (!this.#ended.signal.aborted) process.kill(this.#runtimePid, name);
  }

  resize(size: TerminalSize): void {
    if (this.#ended.signal.aborted) return;
    this.#resizeOuter(size);
    const isWaiting = this.#wanted !== undefined;
    this.#wanted = size;
    if (!isWaiting) void this.#resizeInner();
  }

  /** The container's own terminal: not every runtime hands the new size of its terminal on. */
  async #resizeInner(): Promise<void> {
    while (this.#wanted && !this.#ended.signal.aborted) {
      try {
        const pid = Number(await readFile(this.#pidFile, 'utf8'));
        const size = this.#wanted;
        resizeTerminal(`/proc/${pid}/root/dev/pts/0`, size);
        if (size === this.#wanted) this.#wanted = undefined;
      } catch {
        // It is still being started, or has just ended.
        await pause(startInterval, undefined, { signal: this.#ended.signal }).catch(() => {});
      }
    }
  }

  [Symbol.dispose](): void {
    this.#ended.abort();
  }
}
