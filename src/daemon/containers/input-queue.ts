import { type Deferred, deferred } from '../../base/async/lifetime.ts';

/** Bytes of input that wait for the process before whoever sends them has to wait. */
const maxPending = 1 << 20;

/** Input on its way to a process. */
export class InputQueue {
  readonly #pending: Uint8Array[] = [];
  readonly #onTaken: (bytes: number) => void;
  #bytes = 0;
  #ended = false;
  #turn: Deferred<void> = deferred();
  #room: Deferred<void> | undefined;

  constructor(onTaken: (bytes: number) => void = () => {}) {
    this.#onTaken = onTaken;
  }

  /** Returns what to wait for before more is added, when the process is slow; it resolves at the end, too. */
  add(data: Uint8Array): Promise<void> | undefined {
    if (this.#ended || data.length === 0) return undefined;
    this.#bytes += data.length;
    this.#pending.push(data);
    this.#turn.resolve();
    if (this.#bytes <= maxPending) return undefined;
    this.#room ??= deferred();
    return this.#room.promise;
  }

  /** Ends it, and drops what nobody has taken. */
  discard(): void {
    const bytes = this.#bytes;
    this.#pending.length = 0;
    this.#bytes = 0;
    this.end();
    if (bytes > 0) this.#onTaken(bytes);
  }

  get bytes(): number {
    return this.#bytes;
  }

  end(): void {
    this.#ended = true;
    this.#turn.resolve();
    this.#room?.resolve();
  }

  async *chunks(): AsyncGenerator<Uint8Array> {
    for (;;) {
      while (this.#pending.length > 0) {
        const pieces = this.#pending.splice(0);
        const data = pieces.length === 1 ? pieces[0]! : Buffer.concat(pieces);
        yield data;
        // What was discarded meanwhile is not taken a second time.
        const taken = Math.min(data.length, this.#bytes);
        this.#bytes -= taken;
        this.#onTaken(taken);
        this.#room?.resolve();
        this.#room = undefined;
      }
      if (this.#ended) return;
      this.#turn = deferred();
      await this.#turn.promise;
    }
  }
}
