import { type Deferred, deferred } from '../../base/async/lifetime.ts';

/** Bytes of input that may wait for processes. */
export class InputBudget {
  readonly #limit: number;
  #bytes = 0;
  #room: Deferred<void> | undefined;

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Returns what to wait for before more comes, if there is too much. */
  take(bytes: number): Promise<void> | undefined {
    this.#bytes += bytes;
    if (this.#bytes <= this.#limit) return undefined;
    this.#room ??= deferred();
    return this.#room.promise;
  }

  free(bytes: number): void {
    this.#bytes -= bytes;
    if (this.#bytes > this.#limit) return;
    this.#room?.resolve();
    this.#room = undefined;
  }
}
