import type { Transform } from 'node:stream';

/** The size of the chunks that decoders are to make. */
export const decodedChunkSize = 1 << 18;

/** One of Node's decompressors as something to push to and pull from. */
export class Decoder implements Disposable {
  readonly #decoder: Transform & { readonly bytesWritten: number };
  readonly #ended: Promise<unknown>;
  #pushed = 0;
  #failure: unknown;

  constructor(decoder: Transform & { readonly bytesWritten: number }) {
    this.#decoder = decoder;
    decoder.on('error', (error) => {
      this.#failure = error;
    });
    this.#ended = new Promise<void>((resolve) => {
      decoder.once('end', resolve);
      decoder.once('close', resolve);
    });
  }

  /** How many of the bytes pushed last come after the end of the compressed data. */
  get surplus(): number {
    return this.#pushed - this.#decoder.bytesWritten;
  }

  /** Yields what is made of `bytes`. */
  async *push(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
    this.#pushed += bytes.length;
    const written = new Promise<void>((resolve, reject) =>
      this.#decoder.write(bytes, (error) => (error ? reject(error) : resolve())),
    );
    // One that has failed reports nothing as written.
    yield* this.#until(Promise.race([written, this.#ended]));
  }

  /** Yields the rest. Throws when the data is cut short. */
  async *end(): AsyncGenerator<Uint8Array> {
    this.#decoder.end();
    yield* this.#until(this.#ended);
  }

  *#drain(): Generator<Uint8Array> {
    for (;;) {
      const chunk = this.#decoder.read() as Buffer | null;
      if (chunk === null) return;
      yield chunk;
    }
  }

  /** What the decoder makes until `done`; it goes on only while its output is taken. */
  async *#until(done: Promise<unknown>): AsyncGenerator<Uint8Array> {
    let pending = true;
    const settled = done.then(
      () => {
        pending = false;
      },
      (error) => {
        pending = false;
        this.#failure ??= error;
      },
    );
    while (pending) {
      yield* this.#drain();
      await this.#changed(settled);
    }
    yield* this.#drain();
    if (this.#failure !== undefined) throw this.#failure;
  }

  /** Resolves when there is something to read, or `settled` does. */
  #changed(settled: Promise<void>): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        this.#decoder.off('readable', done);
        resolve();
      };
      this.#decoder.once('readable', done);
      settled.then(done);
    });
  }

  [Symbol.dispose](): void {
    this.#decoder.destroy();
  }
}
