import type { SolveStatus } from '../../client/solve-status.ts';
import type { Display, Output } from './display.ts';
import { failedStepLog } from './failed-step-log.ts';
import { ProgressState } from './progress-state.ts';

const failureLines = 10;

/** Shows nothing except the last output of steps that failed. */
export class QuietDisplay implements Display {
  readonly #state = new ProgressState();
  readonly #output: Output;

  constructor(output: Output) {
    this.#output = output;
  }

  update(status: SolveStatus): void {
    this.#state.apply(status, Date.now());
  }

  notice(text: string): void {
    this.#output.write(`${text}\n`);
  }

  finish(): void {
    for (const step of this.#state.failed) this.#output.write(failedStepLog(step, failureLines));
  }

  [Symbol.dispose](): void {}
}
