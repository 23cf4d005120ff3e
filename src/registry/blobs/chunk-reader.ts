import { KilnError } from '../../base/errors.ts';

/** Reads a stream in chunks of the size that is wanted. */
export class ChunkReader implements AsyncDisposable {
  readonly #chunks: AsyncIterator<Uint8Array>;
  #rest: Uint8Array = new Uint8Array();
  #skip: number;

  /** Passes over the first `skip` bytes. */
  constructor(source: AsyncIterable<Uint8Array>, skip: number) {
    this.#chunks = source[Symbol.asyncIterator]();
    this.#skip = skip;
  }

  /** Throws `data_loss` when the stream ends before it has given that many bytes. */
  async next(size: number): Promise<Uint8Array> {
    const chunk = Buffer.allocUnsafe(size);
    for (let filled = 0; filled < size; ) {
      if (this.#rest.length === 0) await this.#read();
      const part = this.#rest.subarray(0, size - filled);
      chunk.set(part, filled);
      filled += part.length;
      this.#rest = this.#rest.subarray(part.length);
    }
    return chunk;
  }

  async #read(): Promise<void> {
    const { done, value } = await this.#chunks.next();
    if (done) throw new KilnError('data_loss', 'what is to be sent ends earlier than was announced');
    const passed = Math.min(this.#skip, value.length);
    this.#skip -= passed;
    this.#rest = value.subarray(passed);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#chunks.return?.();
  }
}
