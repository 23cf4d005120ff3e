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

/** Cuts a byte stream into messages. A message that lies within one chunk is a view of it; others are copied once. */
export class FrameSplitter {
  /** What came of an incomplete header. */
  readonly #header = Buffer.allocUnsafe(headerSize);
  #headerFilled = 0;
  /** The message that is being put together: it takes the memory that has come, not what was announced. */
  #partial: { readonly parts: Buffer[]; missing: number } | undefined;

  /** The messages that `chunk` completes. Throws `unimplemented` for a compressed one, `resource_exhausted` for a huge one. */
  push(chunk: Buffer): Buffer[] {
    const messages: Buffer[] = [];
    let at = 0;
    while (at < chunk.length) {
      if (this.#partial) {
        const { parts } = this.#partial;
        const part = Math.min(this.#partial.missing, chunk.length - at);
        parts.push(chunk.subarray(at, at + part));
        this.#partial.missing -= part;
        at += part;
        if (this.#partial.missing > 0) break;
        messages.push(Buffer.concat(parts));
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
      } else this.#partial = { parts: [], missing: size };
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
