import { crc32, createInflateRaw } from 'node:zlib';
import { Decoder, decodedChunkSize } from './decoder.ts';

const flags = { headerChecksum: 2, extra: 4, name: 8, comment: 16, reserved: 0xe0 } as const;
const headerSize = 10;
const trailerSize = 8;

/**
 * Decompresses any number of gzip members (RFC 1952). What follows the last member is not looked at: Node's own
 * decoder takes it for a damaged member, and tells neither from a member that is cut short.
 */
export async function* decompressGzip(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  await using input = new Input(source);
  while (await input.startsWith(0x1f, 0x8b)) yield* member(input);
}

async function* member(input: Input): AsyncGenerator<Uint8Array> {
  await skipHeader(input);
  using decoder = new Decoder(createInflateRaw({ chunkSize: decodedChunkSize }));
  let checksum = 0;
  let size = 0;
  while (decoder.surplus === 0) {
    const chunk = await input.next();
    for await (const piece of chunk ? decoder.push(chunk) : decoder.end()) {
      checksum = crc32(piece, checksum);
      size += piece.length;
      yield piece;
    }
    if (!chunk) break;
    input.putBack(chunk.subarray(chunk.length - decoder.surplus));
  }
  const trailer = await input.take(trailerSize);
  if (trailer.readUInt32LE(0) !== checksum)
    throw new Error('a gzip member has another checksum than it says');
  if (trailer.readUInt32LE(4) !== size % 2 ** 32)
    throw new Error('a gzip member has another size than it says');
}

async function skipHeader(input: Input): Promise<void> {
  const header = await input.take(headerSize);
  const present = header[3]!;
  if (header[2] !== 8 || (present & flags.reserved) !== 0)
    throw new Error('a gzip member has an unknown header');
  if (present & flags.extra) await input.skip((await input.take(2)).readUInt16LE(0));
  if (present & flags.name) await input.skipThroughZero();
  if (present & flags.comment) await input.skipThroughZero();
  if (present & flags.headerChecksum) await input.skip(2);
}

/** Chunks of which any part can be taken. */
class Input implements AsyncDisposable {
  readonly #source: AsyncIterator<Uint8Array>;
  #rest: Uint8Array = Buffer.alloc(0);

  constructor(source: AsyncIterable<Uint8Array>) {
    this.#source = source[Symbol.asyncIterator]();
  }

  /** The next bytes, as many as there are at hand; undefined at the end. */
  async next(): Promise<Uint8Array | undefined> {
    while (this.#rest.length === 0) {
      const { done, value } = await this.#source.next();
      if (done) return undefined;
      this.#rest = value;
    }
    const chunk = this.#rest;
    this.#rest = chunk.subarray(chunk.length);
    return chunk;
  }

  /** The last that was taken comes first again. */
  putBack(bytes: Uint8Array): void {
    this.#rest = this.#rest.length === 0 ? bytes : Buffer.concat([bytes, this.#rest]);
  }

  async startsWith(...bytes: readonly number[]): Promise<boolean> {
    const start: Uint8Array[] = [];
    let size = 0;
    while (size < bytes.length) {
      const chunk = await this.next();
      if (!chunk) break;
      start.push(chunk);
      size += chunk.length;
    }
    const joined = start.length === 1 ? start[0]! : Buffer.concat(start);
    this.putBack(joined);
    return bytes.every((byte, at) => joined[at] === byte);
  }

  async take(size: number): Promise<Buffer> {
    const parts: Uint8Array[] = [];
    for (let wanted = size; wanted > 0; ) {
      const chunk = await this.#some();
      const part = chunk.subarray(0, wanted);
      parts.push(part);
      wanted -= part.length;
      this.putBack(chunk.subarray(part.length));
    }
    return Buffer.concat(parts);
  }

  async skip(size: number): Promise<void> {
    await this.take(size);
  }

  async skipThroughZero(): Promise<void> {
    for (;;) {
      const chunk = await this.#some();
      const zero = chunk.indexOf(0);
      if (zero < 0) continue;
      this.putBack(chunk.subarray(zero + 1));
      return;
    }
  }

  async #some(): Promise<Uint8Array> {
    const chunk = await this.next();
    if (!chunk) throw new Error('the last gzip member is cut short');
    return chunk;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#source.return?.();
  }
}
