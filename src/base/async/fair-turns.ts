import { setImmediate } from 'node:timers/promises';
import { TimeSlice } from './time-slice.ts';

/** For short work that thousands may ask for at once: each waits for its turn, and between them the event loop turns, too. */
export class FairTurns {
  readonly #slice = new TimeSlice();
  #last: Promise<void> | undefined;

  /** Answers, in the order of the calls, when the caller may go on with a few milliseconds of work. */
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
