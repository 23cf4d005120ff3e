import type { SolveStatus } from '../../client/solve-status.ts';
import type { Display, Output } from './display.ts';
import { PlainPrinter } from './plain-printer.ts';
import { ProgressState } from './progress-state.ts';

/** Events are gathered this long (milliseconds), so that the lines of one step stay together. */
const gatherTime = 100;
/** After this long (milliseconds) without events, lines that have no end yet are shown. */
const idleTime = 1_000;

/** Line by line, for logs and for terminals that cannot move the cursor. */
export class PlainDisplay implements Display {
  readonly #state = new ProgressState();
  readonly #output: Output;
  readonly #printer: PlainPrinter;
  #printTimer: NodeJS.Timeout | undefined;
  #idleTimer: NodeJS.Timeout | undefined;

  constructor(output: Output) {
    this.#output = output;
    this.#printer = new PlainPrinter(this.#state, (text) => output.write(text));
  }

  update(status: SolveStatus): void {
    this.#state.apply(status, Date.now());
    this.#schedule();
    clearTimeout(this.#idleTimer);
    this.#idleTimer = setTimeout(() => {
      this.#printer.endOpenLines();
      this.#schedule();
    }, idleTime);
  }

  notice(text: string): void {
    this.#output.write(`${text}\n`);
  }

  #schedule(): void {
    this.#printTimer ??= setTimeout(() => {
      this.#printTimer = undefined;
      const allPrinted = this.#printer.print(Date.now());
      if (!allPrinted) this.#schedule();
    }, gatherTime);
  }

  finish(): void {
    this[Symbol.dispose]();
    this.#printer.finish(Date.now());
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#printTimer);
    clearTimeout(this.#idleTimer);
    this.#printTimer = undefined;
  }
}
