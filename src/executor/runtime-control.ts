import { readFile } from 'node:fs/promises';
import { constants } from 'node:os';
import { setTimeout as pause } from 'node:timers/promises';
import type { TerminalSize } from '../linux/process/pseudo-terminal.ts';
import type { ProcessControl } from './executor.ts';

/** Milliseconds between looks at a container that is being started. */
const startInterval = 20;

/** Controls a process that a runtime has started and stays with. Disposed when the runtime's process has ended. */
export class RuntimeControl implements ProcessControl, Disposable {
  readonly #runtimePid: number | undefined;
  readonly #pidFile: string;
  readonly #terminal: { resize?(size: TerminalSize): void };
  readonly #ended = new AbortController();

  /** `pidFile` is where the runtime writes the process's id. `runtimePid` is the runtime's own if it passes signals on. */
  constructor(
    runtimePid: number | undefined,
    pidFile: string,
    terminal: { resize?(size: TerminalSize): void },
  ) {
    this.#runtimePid = runtimePid;
    this.#pidFile = pidFile;
    this.#terminal = terminal;
  }

  /** Runtimes cannot pass on the signals that no process can handle. */
  signal(signal: NodeJS.Signals | number): void {
    if (this.#ended.signal.aborted) return;
    const number = typeof signal === 'number' ? signal : constants.signals[signal];
    const { SIGKILL, SIGSTOP } = constants.signals;
    if (this.#runtimePid === undefined || number === SIGKILL || number === SIGSTOP) void this.#signal(number);
    else process.kill(this.#runtimePid, number);
  }

  resize(size: TerminalSize): void {
    if (!this.#ended.signal.aborted) this.#terminal.resize?.(size);
  }

  [Symbol.dispose](): void {
    this.#ended.abort();
  }

  /** As soon as there is one: the container may still be being started. */
  async #signal(signal: number): Promise<void> {
    for (;;) {
      const pid = await readPid(this.#pidFile);
      if (this.#ended.signal.aborted) return;
      if (pid !== undefined) {
        try {
          process.kill(pid, signal);
        } catch {
          // It has just ended.
        }
        return;
      }
      await pause(startInterval, undefined, { signal: this.#ended.signal }).catch(() => {});
    }
  }
}

/** Undefined when there is none yet, also in a file that is being written: 0 would be this process's group. */
export async function readPid(file: string): Promise<number | undefined> {
  const text = await readFile(file, 'utf8').catch(() => '');
  return /^[1-9]\d*$/.test(text.trim()) ? Number(text) : undefined;
}
