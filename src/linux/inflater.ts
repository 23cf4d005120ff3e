import koffi from 'koffi';
import { bind } from './libc.ts';

/** zlib, which Node exports to add-ons with its own declarations (`zlib.h`). */
const inflateInit = bind('int inflateInit2_(void *stream, int windowBits, const char *version, int size)');
const inflateReset = bind('int inflateReset(void *stream)');
const inflate = bind('int inflate(void *stream, int flush)');
const inflateEnd = bind('int inflateEnd(void *stream)');

/** The first digit is what zlib compares. */
const version = '1';
/** `z_stream` where pointers have 64 bits; zlib refuses another size. */
const streamSize = 112;
const field = { nextIn: 0, availableIn: 8, nextOut: 24, availableOut: 32 } as const;
/** Raw deflate data, with the largest window. */
const windowBits = -15;
const result = { ok: 0, streamEnd: 1, noProgress: -5 } as const;

/**
 * zlib's decoder of deflate data (RFC 1951), in this thread and between two buffers that are used again and again. Node's streams make a
 * buffer of each piece: collecting these took as much of the processor as the decoding.
 */
export class Inflater implements Disposable {
  readonly #stream = Buffer.alloc(streamSize);
  readonly #input: Buffer;
  readonly #output: Buffer;
  readonly #inputAddress: bigint;
  readonly #outputAddress: bigint;
  #ended = false;
  #disposed = false;

  /** Neither buffer may be part of a larger one that moves: they come from `Buffer.allocUnsafeSlow`. */
  constructor(input: Buffer, output: Buffer) {
    this.#input = input;
    this.#output = output;
    this.#inputAddress = koffi.address(input);
    this.#outputAddress = koffi.address(output);
    const status = inflateInit(this.#stream, windowBits, version, streamSize);
    if (status !== result.ok) throw new Error(`zlib cannot start (${status})`);
  }

  /** Whether the end of the data was read. */
  get ended(): boolean {
    return this.#ended;
  }

  /** How many of the bytes that were fed have not been read. */
  get surplus(): number {
    return this.#stream.readUInt32LE(field.availableIn);
  }

  /** Begins with other data. */
  reset(): void {
    inflateReset(this.#stream);
    this.#ended = false;
  }

  /** Says where in the input buffer the next bytes are. All that was fed before has been read. */
  feed(start: number, end: number): void {
    if (start < 0 || end < start || end > this.#input.length)
      throw new RangeError('no such part of the input');
    this.#stream.writeBigUInt64LE(this.#inputAddress + BigInt(start), field.nextIn);
    this.#stream.writeUInt32LE(end - start, field.availableIn);
  }

  /** Fills the output buffer and returns how many bytes there are in it: fewer than it has room for when all that was fed was read, or the data ended. */
  pull(): number {
    if (this.#disposed) throw new Error('this decoder is disposed');
    this.#stream.writeBigUInt64LE(this.#outputAddress, field.nextOut);
    this.#stream.writeUInt32LE(this.#output.length, field.availableOut);
    const status = inflate(this.#stream, 0);
    if (status !== result.ok && status !== result.streamEnd && status !== result.noProgress) {
      throw new Error(`the compressed data is damaged (${status})`);
    }
    this.#ended = status === result.streamEnd;
    return this.#output.length - this.#stream.readUInt32LE(field.availableOut);
  }

  /** A thread that is ended instead keeps some 50 KB of the process's memory. */
  [Symbol.dispose](): void {
    if (this.#disposed) return;
    this.#disposed = true;
    inflateEnd(this.#stream);
  }
}
