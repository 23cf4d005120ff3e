/** Milliseconds between two checks. */
const interval = 5;

/** A time in which the event loop stood still, in milliseconds. */
export interface Delay {
  readonly duration: number;
  /** How much of it the thread was at work. For the rest, the processor was busy with other work, or the thread waited for a disk. */
  readonly work: number;
}

/**
 * Finds the longest delay of the event loop. Looks only after it was asked for the first time, since looking wakes the process
 * two hundred times a second.
 */
export class EventLoopWatch implements Disposable {
  #timer: NodeJS.Timeout | undefined;
  #lookedAt = 0;
  #worked = 0;
  #longest: Delay = { duration: 0, work: 0 };

  /** The longest delay since the last call. */
  take(): Delay {
    if (this.#timer) this.#look();
    else this.#begin();
    const longest = this.#longest;
    this.#longest = { duration: 0, work: 0 };
    return longest;
  }

  #begin(): void {
    this.#lookedAt = performance.now();
    this.#worked = threadMilliseconds();
    this.#timer = setInterval(() => this.#look(), interval).unref();
  }

  #look(): void {
    const now = performance.now();
    const worked = threadMilliseconds();
    const duration = now - this.#lookedAt - interval;
    if (duration > this.#longest.duration) this.#longest = { duration, work: worked - this.#worked };
    this.#lookedAt = now;
    this.#worked = worked;
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }
}

function threadMilliseconds(): number {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1000;
}
