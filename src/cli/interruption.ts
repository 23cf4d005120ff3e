import { KilnError } from '../base/errors.ts';

/** The exit code of a program ended by Ctrl-C. */
export const interruptedExitCode = 130;

/** SIGHUP comes when the terminal is closed: an engine in this process has containers and mounts to take down then, too. */
const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/** The first signal to end aborts `signal`, so that the command can end in order; the second ends the process at once. */
export class Interruption implements Disposable {
  readonly #controller = new AbortController();
  readonly #onSignal = () => {
    if (this.signal.aborted) process.exit(interruptedExitCode);
    this.#controller.abort(new KilnError('canceled', 'canceled'));
  };

  constructor() {
    for (const name of signals) process.on(name, this.#onSignal);
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  [Symbol.dispose](): void {
    for (const name of signals) process.off(name, this.#onSignal);
  }
}
