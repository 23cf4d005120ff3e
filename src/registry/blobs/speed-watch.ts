/** Milliseconds after which a speed is known well enough to decide on it. */
const measured = 1_000;
/** Bytes and milliseconds: less than that is not worth more connections. */
const worthwhile = { bytes: 32 * 1024 * 1024, milliseconds: 3_000 };

/** How fast bytes come, from the first of them on, and how long the rest will take. */
export class SpeedWatch {
  #left: number;
  #taken = 0;
  #started: number | undefined;

  /** `expected`: bytes. */
  constructor(expected: number) {
    this.#left = expected;
  }

  add(bytes: number): void {
    this.#left -= bytes;
    if (this.#started === undefined) this.#started = performance.now();
    else this.#taken += bytes;
  }

  /** Bytes a millisecond. */
  rate(): number {
    return this.#taken / Math.max(this.#elapsed(), 1);
  }

  isMeasured(): boolean {
    return this.#elapsed() >= measured;
  }

  /** Whether much is still to come, and slowly. */
  isSlow(): boolean {
    return (
      this.isMeasured() &&
      this.#left >= worthwhile.bytes &&
      this.#left / this.rate() >= worthwhile.milliseconds
    );
  }

  #elapsed(): number {
    return this.#started === undefined ? 0 : performance.now() - this.#started;
  }
}
