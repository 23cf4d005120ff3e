import { errnoOf } from '../base/errors.ts';

/** How often what is being ended is killed again, and when its runtime is too, in milliseconds. */
const killInterval = 10;
const killRuntimeAfter = 10_000;

/** Ends what a runtime has started when a signal aborts: kills it until the runtime has noticed and ended too. */
export class ForcedEnd implements Disposable {
  readonly #kill: () => void;
  readonly #signal: AbortSignal;
  #runtimePid = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(kill: () => void, signal: AbortSignal) {
    this.#kill = kill;
    this.#signal = signal;
  }

  /** To be called with the runtime's process, the leader of its process group. */
  start(runtimePid: number): void {
    this.#runtimePid = runtimePid;
    this.#signal.addEventListener('abort', this.#end, { once: true });
    if (this.#signal.aborted) this.#end();
  }

  /** What is still being set up has no processes yet, so once is not enough. */
  readonly #end = (): void => {
    if (this.#timer) return;
    const began = Date.now();
    this.#kill();
    this.#timer = setInterval(() => {
      this.#kill();
      if (Date.now() - began > killRuntimeAfter) killGroup(this.#runtimePid);
    }, killInterval);
  };

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
    this.#signal.removeEventListener('abort', this.#end);
  }
}

function killGroup(leader: number): void {
  try {
    process.kill(-leader, 'SIGKILL');
  } catch (error) {
    if (errnoOf(error) !== 'ESRCH') throw error;
  }
}
