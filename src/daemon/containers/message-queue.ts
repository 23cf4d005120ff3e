import { type Deferred, deferred } from '../../base/async/lifetime.ts';

/** What a message costs besides the bytes that it carries: a process can write them one by one. */
const messageSize = 256;
/** Bytes that wait for the reader, where writers are asked to wait when there are more. */
const maxPending = 1 << 20;

/** Messages on their way to a reader that can be slow. */
export class MessageQueue<T> {
  readonly #whenEmpty: () => T | undefined;
  readonly #pending: T[] = [];
  #bytes = 0;
  #end: { readonly error?: unknown } | undefined;
  #turn: Deferred<void> = deferred();
  #room: Deferred<void> | undefined;

  /** `whenEmpty` is asked for one message more when there is no other, and again after `wake`. */
  constructor(whenEmpty: () => T | undefined = () => undefined) {
    this.#whenEmpty = whenEmpty;
  }

  /** `bytes` is what the message carries. Returns what to wait for before the next one if there are many. */
  add(message: T, bytes = 0): Promise<void> | undefined {
    if (this.#end) return undefined;
    this.#pending.push(message);
    this.#bytes += bytes + messageSize;
    this.#turn.resolve();
    if (this.#bytes <= maxPending) return undefined;
    this.#room ??= deferred();
    return this.#room.promise;
  }

  wake(): void {
    this.#turn.resolve();
  }

  /** Nothing more comes. The reader gets what is there, and then the error, if there is one. */
  end(error?: unknown): void {
    this.#end ??= { error };
    this.#turn.resolve();
    this.#room?.resolve();
  }

  /** To be called once. */
  async *messages(): AsyncGenerator<T> {
    for (;;) {
      while (this.#pending.length > 0) yield* this.#pending.splice(0);
      this.#bytes = 0;
      this.#room?.resolve();
      this.#room = undefined;
      const more = this.#whenEmpty();
      if (more !== undefined) {
        yield more;
        continue;
      }
      if (this.#end) {
        if (this.#end.error !== undefined) throw this.#end.error;
        return;
      }
      this.#turn = deferred();
      await this.#turn.promise;
    }
  }
}
