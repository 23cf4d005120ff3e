/** Messages on their way to or from a thread, many in one buffer that is moved, not copied: each with its length before it. */
const lengthBytes = 4;
const batchSize = 512 * 1024;

/** Collects messages into buffers of about half a megabyte. */
export class BatchBuilder {
  #buffer = Buffer.allocUnsafeSlow(0);
  #length = 0;

  get isEmpty(): boolean {
    return this.#length === 0;
  }

  /** False when the message no longer fits: take the batch first. */
  add(message: Uint8Array): boolean {
    const size = lengthBytes + message.length;
    if (this.#length + size > this.#buffer.length) {
      if (this.#length > 0) return false;
      this.#buffer = Buffer.allocUnsafeSlow(Math.max(batchSize, size));
    }
    this.#buffer.writeUInt32LE(message.length, this.#length);
    this.#buffer.set(message, this.#length + lengthBytes);
    this.#length += size;
    return true;
  }

  /** The batch, to be transferred; the builder starts anew. A batch that is mostly empty is cut to size. */
  take(): Uint8Array<ArrayBuffer> {
    const full = this.#buffer as Buffer<ArrayBuffer>;
    const batch =
      this.#length * 2 < full.length
        ? new Uint8Array(full.buffer.slice(0, this.#length))
        : new Uint8Array(full.buffer, 0, this.#length);
    if (batch.buffer === full.buffer) this.#buffer = Buffer.allocUnsafeSlow(0);
    this.#length = 0;
    return batch;
  }
}

/** The messages of a batch, as views. */
export function* messagesOf(batch: Uint8Array): Generator<Buffer> {
  const buffer = Buffer.from(batch.buffer, batch.byteOffset, batch.byteLength);
  let at = 0;
  while (at < buffer.length) {
    const size = buffer.readUInt32LE(at);
    at += lengthBytes;
    yield buffer.subarray(at, at + size);
    at += size;
  }
}
