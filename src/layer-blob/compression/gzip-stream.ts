import { crc32 } from 'node:zlib';
import { Inflater } from '../../linux/inflater.ts';

const flags = { headerChecksum: 2, extra: 4, name: 8, comment: 16, reserved: 0xe0 } as const;
const headerSize = 10;
const trailerSize = 8;
/** What is made of one piece still is in the processor's cache when it is hashed and written. */
const bufferSize = 1 << 17;

/** Reads the next bytes into a buffer and returns how many; 0 at the end. */
export type ReadInto = (buffer: Uint8Array) => number;

/**
 * Decompresses any number of gzip members (RFC 1952). What follows the last member is not looked at: Node's own
 * decoder takes it for a damaged member, and tells neither from a member that is cut short. What is yielded is valid until the next
 * piece is asked for. Synchronous: for threads.
 */
export function* decompressGzip(read: ReadInto): Generator<Uint8Array, void, undefined> {
  const input = new Input(read);
  const output = Buffer.allocUnsafeSlow(bufferSize);
  using inflater = new Inflater(input.buffer, output);
  while (input.startsWith(0x1f, 0x8b)) {
    skipHeader(input);
    inflater.reset();
    let checksum = 0;
    let size = 0;
    while (!inflater.ended) {
      input.require(1);
      inflater.feed(input.start, input.end);
      let made = output.length;
      while (made === output.length && !inflater.ended) {
        made = inflater.pull();
        if (made === 0) break;
        const piece = output.subarray(0, made);
        checksum = crc32(piece, checksum);
        size += made;
        yield piece;
      }
      input.start = input.end - inflater.surplus;
    }
    const trailer = input.take(trailerSize);
    if (trailer.readUInt32LE(0) !== checksum)
      throw new Error('a gzip member has another checksum than it says');
    if (trailer.readUInt32LE(4) !== size % 2 ** 32)
      throw new Error('a gzip member has another size than it says');
  }
}

function skipHeader(input: Input): void {
  const header = input.take(headerSize);
  const [method, present] = [header[2]!, header[3]!];
  if (method !== 8 || (present & flags.reserved) !== 0)
    throw new Error('a gzip member has an unknown header');
  if (present & flags.extra) input.skip(input.take(2).readUInt16LE(0));
  if (present & flags.name) input.skipThroughZero();
  if (present & flags.comment) input.skipThroughZero();
  if (present & flags.headerChecksum) input.skip(2);
}

/** What is read, of which any part can be taken. */
class Input {
  readonly buffer = Buffer.allocUnsafeSlow(bufferSize);
  /** Where in the buffer the bytes are that nobody has taken. */
  start = 0;
  end = 0;
  readonly #read: ReadInto;

  constructor(read: ReadInto) {
    this.#read = read;
  }

  startsWith(...bytes: readonly number[]): boolean {
    return this.#has(bytes.length) && bytes.every((byte, at) => this.buffer[this.start + at] === byte);
  }

  /** Makes sure that there are that many bytes in the buffer. */
  require(count: number): void {
    if (!this.#has(count)) throw new Error('the last gzip member is cut short');
  }

  /** Valid until something else is taken. */
  take(count: number): Buffer {
    this.require(count);
    this.start += count;
    return this.buffer.subarray(this.start - count, this.start);
  }

  skip(count: number): void {
    for (let left = count; left > 0; ) {
      this.require(1);
      const skipped = Math.min(left, this.end - this.start);
      this.start += skipped;
      left -= skipped;
    }
  }

  skipThroughZero(): void {
    for (;;) {
      this.require(1);
      const zero = this.buffer.subarray(this.start, this.end).indexOf(0);
      if (zero >= 0) {
        this.start += zero + 1;
        return;
      }
      this.start = this.end;
    }
  }

  /** Whether that many bytes are to come, which then are in the buffer. */
  #has(count: number): boolean {
    if (this.end - this.start >= count) return true;
    this.buffer.copyWithin(0, this.start, this.end);
    this.end -= this.start;
    this.start = 0;
    while (this.end < count) {
      const read = this.#read(this.buffer.subarray(this.end));
      if (read === 0) return false;
      this.end += read;
    }
    return true;
  }
}
