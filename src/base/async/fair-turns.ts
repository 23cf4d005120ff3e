import { setImmediate } from 'node:timers/promises';
import { TimeSlice } from './time-slice.ts';

/** Queues short pieces of work that thousands of callers may ask for at once, and lets the event loop turn between them. */
export class FairTurns {
  readonly #slice = new TimeSlice();
  #last: Promise<void> | undefined;

  /** Resolves, in the order of the calls, when the caller may go on with a few milliseconds of work. */
  async take(): Promise<void> {
    const turn = this.#after(this.#last);
    this.#last = turn;
    await turn;
    if (this.#last === turn) this.#last = undefined;
  }

  async #after(previous: Promise<void> | undefined): Promise<void> {
    await previous;
    if (!this.#slice.over) return;
    await setImmediate();
    this.#slice.begin();
  }
}
