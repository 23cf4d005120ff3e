import { KilnError } from '../base/errors.ts';

/** The exit code of a program ended by Ctrl-C. */
export const interruptedExitCode = 130;

/** The first SIGINT or SIGTERM aborts `signal`, so that the command can end in order; the second ends the process at once. */
export class Interruption implements Disposable {
  readonly #controller = new AbortController();
  readonly #onSignal = () => {
    if (this.signal.aborted) process.exit(interruptedExitCode);
    this.#controller.abort(new KilnError('canceled', 'canceled'));
  };

  constructor() {
    process.on('SIGINT', this.#onSignal);
    process.on('SIGTERM', this.#onSignal);
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  [Symbol.dispose](): void {
    process.off('SIGINT', this.#onSignal);
    process.off('SIGTERM', this.#onSignal);
  }
}
