/** Short enough that a few loops in one turn of the event loop hold it up for less than 50 ms together. */
const sliceMilliseconds = 8;

/** Tells a long loop when to let the event loop turn. */
export class TimeSlice {
  readonly #now: () => number;
  #start: number;

  /** `now`: milliseconds, from any origin. */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
    this.#start = now();
  }

  /** Starts anew, after a turn of the event loop. */
  begin(): void {
    this.#start = this.#now();
  }

  get over(): boolean {
    return this.#now() - this.#start >= sliceMilliseconds;
  }
}
