/** How many characters wait until they become bytes. */
const chunkCharacters = 16_384;

/** Puts a long text together as UTF-8. The parts do not stay as strings: megabytes of small ones keep the garbage collector busy. */
export class Utf8Writer {
  readonly #chunks: Uint8Array[] = [];
  #pending = '';

  /** A surrogate pair has to be in one part. */
  add(part: string): void {
    this.#pending += part;
    if (this.#pending.length >= chunkCharacters) this.#flush();
  }

  /** The whole text. */
  finish(): Uint8Array {
    this.#flush();
    return Buffer.concat(this.#chunks);
  }

  #flush(): void {
    this.#chunks.push(Buffer.from(this.#pending, 'utf8'));
    this.#pending = '';
  }
}
