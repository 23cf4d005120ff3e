import { constants } from 'node:os';
import { SystemError } from '../../linux/libc.ts';
import { takeStream } from '../../tree/take-stream.ts';
import type { GrowingFile } from '../../tree/tree-maker.ts';
import { ExtentList } from '../format/extent-list.ts';
import { blockLimit } from '../format/layout.ts';
import type { ImageOutput } from './image-output.ts';

/** The data of a file is written in pieces of this many bytes at least, so that files which grow side by side have few. */
const pieceSize = 1 << 16;

/** What a file has become. */
export interface GrownData {
  readonly extents: ExtentList;
  /** What lies behind the extents, less than a piece: it is in no block yet. Only valid during the call. */
  readonly tail: Buffer;
}

/** A file that grows in an image: its data goes to the image in pieces, its inode when it is finished. */
export class GrowingImageFile implements GrowingFile {
  readonly #output: ImageOutput;
  readonly #finished: (data: GrownData) => void;
  readonly #extents = new ExtentList();
  #buffer = Buffer.allocUnsafe(0);
  #filled = 0;

  constructor(output: ImageOutput, finished: (data: GrownData) => void) {
    this.#output = output;
    this.#finished = finished;
  }

  write(chunk: Uint8Array): void {
    this.#checkSize(chunk.length);
    for (const piece of this.#pieces(chunk)) this.#append(piece);
  }

  hole(size: number): void {
    this.#checkSize(size);
    const { blockSize } = this.#output;
    const before = Math.min(size, (blockSize - (this.#filled % blockSize)) % blockSize);
    this.write(Buffer.alloc(before));
    const whole = Math.floor((size - before) / blockSize);
    if (whole > 0) {
      this.#append(this.#buffer.subarray(0, this.#filled));
      this.#filled = 0;
      this.#extents.add(whole, undefined);
    }
    this.write(Buffer.alloc((size - before) % blockSize));
  }

  async writeAll(source: AsyncIterable<Uint8Array>, signal: AbortSignal): Promise<void> {
    await takeStream(source, signal, async (bytes) => {
      this.#checkSize(bytes.length);
      for (const piece of this.#pieces(bytes)) {
        const blocks = piece.length / this.#output.blockSize;
        const address = this.#output.reserve(blocks);
        await this.#output.writeInBackground(address * this.#output.blockSize, piece);
        this.#extents.add(blocks, address);
      }
    });
  }

  finish(): void {
    this.#finished({ extents: this.#extents, tail: this.#buffer.subarray(0, this.#filled) });
  }

  /** Divides what arrives, and what waits, into pieces of whole blocks. What is left waits. */
  *#pieces(chunk: Uint8Array): Iterable<Uint8Array> {
    const { blockSize } = this.#output;
    for (let rest = chunk; rest.length > 0; ) {
      if (this.#filled === 0 && rest.length >= pieceSize) {
        const piece = rest.subarray(0, rest.length - (rest.length % blockSize));
        rest = rest.subarray(piece.length);
        yield piece;
        continue;
      }
      const taken = Math.min(rest.length, pieceSize - this.#filled);
      this.#makeRoom(this.#filled + taken);
      this.#buffer.set(rest.subarray(0, taken), this.#filled);
      this.#filled += taken;
      rest = rest.subarray(taken);
      if (this.#filled < pieceSize) continue;
      this.#filled = 0;
      yield this.#buffer.subarray(0, pieceSize);
    }
  }

  #append(piece: Uint8Array): void {
    if (piece.length === 0) return;
    this.#extents.add(piece.length / this.#output.blockSize, this.#output.appendData(piece));
  }

  #makeRoom(size: number): void {
    if (size <= this.#buffer.length) return;
    const grown = Buffer.allocUnsafe(Math.min(Math.max(size, this.#buffer.length * 2), pieceSize));
    this.#buffer.copy(grown, 0, 0, this.#filled);
    this.#buffer = grown;
  }

  #checkSize(added: number): void {
    const { blockSize } = this.#output;
    if (this.#extents.blocks * blockSize + this.#filled + added > blockLimit * blockSize) {
      throw new SystemError('write', constants.errno.EFBIG);
    }
  }
}
