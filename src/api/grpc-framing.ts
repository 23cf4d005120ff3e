import { KilnError } from '../base/errors.ts';

/** A message on the wire is one byte of flags (1: compressed), its length as four bytes, big end first, and its bytes. */
const headerSize = 5;

/** What a peer may make this side hold in memory for one message: as much as BuildKit takes. */
export const maximumMessageSize = 16 * 1024 * 1024;

/** `message` with its header, in a buffer of its own. */
export function frameMessage(message: Uint8Array): Buffer {
  const frame = Buffer.allocUnsafe(headerSize + message.length);
  frame[0] = 0;
  frame.writeUInt32BE(message.length, 1);
  frame.set(message, headerSize);
  return frame;
}

/** Cuts a byte stream into messages. A message that lies within one chunk is a view of it; others are copied. */
export class FrameSplitter {
  /** What came of an incomplete header. */
  readonly #header = Buffer.allocUnsafe(headerSize);
  #headerFilled = 0;
  /** The message that is being put together. Its memory grows with what has come: what was announced may never come. */
  #partial: { bytes: Buffer; filled: number; readonly size: number } | undefined;

  /** The messages that `chunk` completes. Throws `unimplemented` for a compressed one, `resource_exhausted` for a huge one. */
  push(chunk: Buffer): Buffer[] {
    const messages: Buffer[] = [];
    let at = 0;
    while (at < chunk.length) {
      if (this.#partial) {
        const partial = this.#partial;
        const part = Math.min(partial.size - partial.filled, chunk.length - at);
        const filled = partial.filled + part;
        if (filled > partial.bytes.length) {
          const bytes = Buffer.allocUnsafeSlow(Math.min(partial.size, 2 * filled));
          partial.bytes.copy(bytes, 0, 0, partial.filled);
          partial.bytes = bytes;
        }
        chunk.copy(partial.bytes, partial.filled, at, at + part);
        partial.filled = filled;
        at += part;
        if (filled < partial.size) break;
        messages.push(partial.bytes);
        this.#partial = undefined;
        continue;
      }
      let size: number;
      if (this.#headerFilled === 0 && chunk.length - at >= headerSize) {
        size = messageSize(chunk, at);
        at += headerSize;
      } else {
        const part = Math.min(headerSize - this.#headerFilled, chunk.length - at);
        chunk.copy(this.#header, this.#headerFilled, at, at + part);
        this.#headerFilled += part;
        at += part;
        if (this.#headerFilled < headerSize) break;
        size = messageSize(this.#header, 0);
        this.#headerFilled = 0;
      }
      if (chunk.length - at >= size) {
        messages.push(chunk.subarray(at, at + size));
        at += size;
      } else this.#partial = { bytes: Buffer.alloc(0), filled: 0, size };
    }
    return messages;
  }

  /** Throws `data_loss` when the stream ended inside a message. */
  end(): void {
    if (this.#partial || this.#headerFilled > 0) {
      throw new KilnError('data_loss', 'the call ended in the middle of a message');
    }
  }
}

function messageSize(bytes: Buffer, at: number): number {
  if (bytes[at] !== 0) {
    throw new KilnError('unimplemented', 'the peer sent a compressed gRPC message', {
      hint: 'turn gRPC compression off on the other side',
    });
  }
  const size = bytes.readUInt32BE(at + 1);
  if (size > maximumMessageSize) {
    throw new KilnError(
      'resource_exhausted',
      `a gRPC message of ${size} bytes is over the limit of ${maximumMessageSize}`,
    );
  }
  return size;
}
