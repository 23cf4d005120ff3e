import { type Level, level } from '../graph/level.ts';
import type { Waiter } from '../graph/waiter.ts';

/** Who waits for an edge, and for which level. */
export class EdgeWaiters {
  readonly #levels = new Map<Waiter, Level>();
  #forResult = 0;

  get none(): boolean {
    return this.#levels.size === 0;
  }

  get anyForResult(): boolean {
    return this.#forResult > 0;
  }

  /** Asking again replaces what was asked. */
  add(waiter: Waiter, wanted: Level): void {
    this.remove(waiter);
    this.#levels.set(waiter, wanted);
    if (wanted === level.result) this.#forResult++;
  }

  remove(waiter: Waiter): boolean {
    const wanted = this.#levels.get(waiter);
    if (wanted === level.result) this.#forResult--;
    return this.#levels.delete(waiter);
  }

  /** Wakes, and forgets, all that wait for no more than `reached`. */
  wake(reached: Level): void {
    for (const [waiter, wanted] of this.#levels) {
      if (wanted > reached) continue;
      this.remove(waiter);
      waiter.woken();
    }
  }
}
