import type { TerminalSize } from '../linux/process/pseudo-terminal.ts';
import type { ProcessControl } from './executor.ts';

/** Controls a container through the runtime that runs it in the foreground. Disposed when the runtime's process has ended. */
export class RuntimeControl implements ProcessControl, Disposable {
  readonly #runtimePid: number;
  readonly #terminal: { resize?(size: TerminalSize): void };
  #hasEnded = false;

  constructor(runtimePid: number, terminal: { resize?(size: TerminalSize): void }) {
    this.#runtimePid = runtimePid;
    this.#terminal = terminal;
  }

  /** Runtimes pass on what they are sent. */
  signal(name: NodeJS.Signals): void {
    if (!this.#hasEnded) process.kill(this.#runtimePid, name);
  }

  resize(size: TerminalSize): void {
    if (!this.#hasEnded) this.#terminal.resize?.(size);
  }

  [Symbol.dispose](): void {
    this.#hasEnded = true;
  }
}
