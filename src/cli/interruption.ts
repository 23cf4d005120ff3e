import { KilnError } from '../base/errors.ts';

/** Milliseconds after the first signal until the process ends in whatever state it is. */
const lastResort = 30_000;

/** The exit code of a program ended by Ctrl-C. */
export const interruptedExitCode = 130;

/** SIGHUP comes when the terminal is closed: an engine in this process has containers and mounts to take down then, too. */
const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/**
 * The first signal to end aborts `signal`, so that the command can end in order; the second ends the process at once, and so does
 * time. A command that knows better what signals mean takes them.
 */
export class Interruption implements Disposable {
  readonly #controller = new AbortController();
  #limit: NodeJS.Timeout | undefined;
  #taker: ((name: NodeJS.Signals) => void) | undefined;
  readonly #onSignal = (name: NodeJS.Signals) => {
    if (this.#taker) {
      this.#taker(name);
      return;
    }
    if (this.signal.aborted) {
      void endNow();
      return;
    }
    this.#limit = setTimeout(endNow, lastResort).unref();
    this.#controller.abort(new KilnError('canceled', 'canceled'));
  };

  constructor() {
    for (const name of signals) process.on(name, this.#onSignal);
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** From now on `take` is called for each signal, until what is returned is disposed of. */
  readonly takeSignals = (take: (name: NodeJS.Signals) => void): Disposable => {
    this.#taker = take;
    return {
      [Symbol.dispose]: () => {
        this.#taker = undefined;
      },
    };
  };

  [Symbol.dispose](): void {
    clearTimeout(this.#limit);
    for (const name of signals) process.off(name, this.#onSignal);
  }
}

async function endNow(): Promise<void> {
  // Most commands have no need of it.
  const { exitNow } = await import('../linux/exit-now.ts');
  exitNow(interruptedExitCode);
}
