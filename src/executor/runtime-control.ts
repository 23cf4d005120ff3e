import { readFile } from 'node:fs/promises';
import { setTimeout as pause } from 'node:timers/promises';
import type { TerminalSize } from '../linux/process/pseudo-terminal.ts';
import type { ProcessControl } from './executor.ts';

/** Milliseconds between looks at a container that is being started. */
const startInterval = 20;

/** Controls a container through the runtime that runs it in the foreground. Disposed when the runtime's process has ended. */
export class RuntimeControl implements ProcessControl, Disposable {
  readonly #runtimePid: number;
  readonly #pidFile: string;
  readonly #terminal: { resize?(size: TerminalSize): void };
  readonly #ended = new AbortController();

  /** `pidFile` is where the runtime writes the container's first process. */
  constructor(runtimePid: number, pidFile: string, terminal: { resize?(size: TerminalSize): void }) {
    this.#runtimePid = runtimePid;
    this.#pidFile = pidFile;
    this.#terminal = terminal;
  }

  /** Runtimes pass on what they are sent, but for the signals that no process can handle. */
  signal(name: NodeJS.Signals): void {
    if (this.#ended.signal.aborted) return;
    if (name === 'SIGKILL' || name === 'SIGSTOP') void this.#signalFirst(name);
    else process.kill(this.#runtimePid, name);
  }

  resize(size: TerminalSize): void {
    if (!this.#ended.signal.aborted) this.#terminal.resize?.(size);
  }

  [Symbol.dispose](): void {
    this.#ended.abort();
  }

  /** As soon as there is one: the container may still be being started. */
  async #signalFirst(name: NodeJS.Signals): Promise<void> {
    for (;;) {
      const pid = await readPid(this.#pidFile);
      if (this.#ended.signal.aborted) return;
      if (pid !== undefined) {
        try {
          process.kill(pid, name);
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
async function readPid(file: string): Promise<number | undefined> {
  const text = await readFile(file, 'utf8').catch(() => '');
  return /^[1-9]\d*$/.test(text.trim()) ? Number(text) : undefined;
}
