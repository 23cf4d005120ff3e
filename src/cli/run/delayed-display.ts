import type { SolveStatus } from '../../client/solve-status.ts';
import type { CommandContext } from '../command-context.ts';
import { createDisplay } from '../progress/create-display.ts';
import type { Display } from '../progress/display.ts';

/** Milliseconds after which a user wants to know what is going on. */
const delay = 1_000;

/** Shows progress only if it takes a while: an image that is here needs none. */
export class DelayedDisplay implements Disposable {
  readonly #open: () => Display;
  readonly #timer: NodeJS.Timeout | undefined;
  #waiting: SolveStatus[] = [];
  #display: Display | undefined;
  #finished: boolean;

  constructor({ stderr, environment }: CommandContext, quiet: boolean) {
    this.#open = () => createDisplay('auto', stderr as Parameters<typeof createDisplay>[1], environment);
    this.#finished = quiet;
    if (!quiet) this.#timer = setTimeout(() => this.#show(), delay);
  }

  update(status: SolveStatus): void {
    if (this.#finished) return;
    if (this.#display) this.#display.update(status);
    else this.#waiting.push(status);
  }

  /** Nothing may follow but disposal. */
  finish(): void {
    clearTimeout(this.#timer);
    if (!this.#finished) this.#display?.finish();
    this.#finished = true;
    this.#waiting = [];
  }

  #show(): void {
    this.#display = this.#open();
    for (const status of this.#waiting.splice(0)) this.#display.update(status);
  }

  [Symbol.dispose](): void {
    this.finish();
    this.#display?.[Symbol.dispose]();
  }
}
