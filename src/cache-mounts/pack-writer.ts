import { createHash, hash } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { zstdCompressSync } from 'node:zlib';
import type { Digest } from '../base/digest.ts';
import { chunkEnd, chunkSizes } from './chunk-boundaries.ts';
import { type Chunk, type Pack, packLength } from './mount-index.ts';

/** A pack in a file of this machine. */
export interface WrittenPack {
  readonly digest: Digest;
  /** Bytes. */
  readonly size: number;
  readonly file: string;
}

/**
 * Cuts data into chunks, and puts those into packs that no pack of before has. Positions of chunks are those in the list of all chunks of the packs of before
 * and of the new ones after them.
 */
export class PackWriter {
  readonly written: WrittenPack[] = [];
  readonly #directory: string;
  readonly #packs: Pack[];
  readonly #positions = new Map<string, number>();
  #count = 0;
  #chunks: Chunk[] = [];
  #data: Buffer[] = [];
  #length = 0;

  /** New packs become files in `directory`. */
  constructor(directory: string, before: readonly Pack[]) {
    this.#directory = directory;
    this.#packs = [...before];
    for (const { chunks } of before)
      for (const chunk of chunks) this.#positions.set(chunk.hash, this.#count++);
  }

  /** Stores what `read` fills buffers with, until it returns 0. */
  store(read: (buffer: Buffer) => number): number[] {
    const positions: number[] = [];
    let buffer = Buffer.allocUnsafe(2 * chunkSizes.largest);
    let start = 0;
    let end = 0;
    for (let more = true; more || start < end; ) {
      while (more && end < buffer.length) {
        const count = read(buffer.subarray(end));
        if (count === 0) more = false;
        end += count;
      }
      while (start < end && (!more || end - start >= chunkSizes.largest)) {
        const next = chunkEnd(buffer, start, end);
        positions.push(this.#storeChunk(buffer.subarray(start, next)));
        start = next;
      }
      if (!more) break;
      // Chunks of a pack that is not written yet lie in the buffer before this one.
      const rest = buffer.subarray(start, end);
      buffer = Buffer.allocUnsafe(2 * chunkSizes.largest);
      rest.copy(buffer);
      end = rest.length;
      start = 0;
    }
    return positions;
  }

  #storeChunk(data: Buffer): number {
    const digest = hash('sha256', data, 'hex');
    const known = this.#positions.get(digest);
    if (known !== undefined) return known;
    const position = this.#count++;
    this.#positions.set(digest, position);
    this.#chunks.push({ hash: digest, length: data.length });
    this.#data.push(data);
    this.#length += data.length;
    if (this.#length >= packLength) this.#writePack();
    return position;
  }

  /** Writes what is left, and returns all packs. */
  finish(): readonly Pack[] {
    if (this.#length > 0) this.#writePack();
    return this.#packs;
  }

  #writePack(): void {
    const data = zstdCompressSync(Buffer.concat(this.#data, this.#length));
    const hex = createHash('sha256').update(data).digest('hex');
    const digest = `sha256:${hex}` as Digest;
    const file = path.join(this.#directory, hex);
    writeFileSync(file, data, { mode: 0o600 });
    this.written.push({ digest, size: data.length, file });
    this.#packs.push({ digest, size: data.length, chunks: this.#chunks });
    this.#chunks = [];
    this.#data = [];
    this.#length = 0;
  }
}
