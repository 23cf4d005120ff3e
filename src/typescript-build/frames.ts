import { KilnError } from '../base/errors.ts';

/** Bytes of one message. A daemon takes no larger definition. */
export const largestMessage = 32 * 1024 * 1024;

/** A message as it is sent. Throws `resource_exhausted`. */
export function frameOf(message: unknown): Buffer {
  const text = Buffer.from(JSON.stringify(message));
  if (text.length > largestMessage) {
    throw new KilnError(
      'resource_exhausted',
      `a message of ${text.length} bytes is larger than ${largestMessage}`,
      {
        hint: 'make the definition or the file smaller',
      },
    );
  }
  const frame = Buffer.allocUnsafe(4 + text.length);
  frame.writeUInt32BE(text.length);
  text.copy(frame, 4);
  return frame;
}

/** Takes messages out of a stream of bytes. */
export class FrameReader {
  #chunks: Buffer[] = [];
  #held = 0;

  /** The messages that end in this chunk. Throws `resource_exhausted` and `invalid_argument`. */
  *read(chunk: Buffer): Generator<unknown> {
    this.#chunks.push(chunk);
    this.#held += chunk.length;
    while (this.#held >= 4) {
      const length = this.#start(4).readUInt32BE();
      if (length > largestMessage) {
        throw new KilnError(
          'resource_exhausted',
          `a message of ${length} bytes is larger than ${largestMessage}`,
        );
      }
      if (this.#held < 4 + length) return;
      const bytes = this.#start(4 + length);
      this.#chunks = [bytes.subarray(4 + length)];
      this.#held -= 4 + length;
      const text = bytes.toString('utf8', 4, 4 + length);
      let message: unknown;
      try {
        message = JSON.parse(text);
      } catch (cause) {
        throw new KilnError('invalid_argument', 'a message is not JSON', { cause });
      }
      yield message;
    }
  }

  /** What is held, with at least this many bytes in one piece. */
  #start(count: number): Buffer {
    const [first] = this.#chunks;
    if (first && first.length >= count) return first;
    const all = Buffer.concat(this.#chunks);
    this.#chunks = [all];
    return all;
  }
}
