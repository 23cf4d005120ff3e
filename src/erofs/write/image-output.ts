import { closeSync, constants, ftruncateSync, openSync, readSync, write, writeSync } from 'node:fs';
import { constants as os } from 'node:os';
import { promisify } from 'node:util';
import { SystemError } from '../../linux/libc.ts';
import { blockLimit, inodeSize, recordPosition, roundUp } from '../format/layout.ts';

const { O_CREAT, O_EXCL, O_NOFOLLOW, O_RDWR } = constants;
const createFlags = O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW;
const ownFile = 0o600;
/** Bytes of data that are written at once, the first time and later. Those of a large piece go to the file as they are. */
const firstWindow = 1 << 16;
const windowSize = 1 << 20;
const largePiece = windowSize / 4;
/** Records are gathered in stretches of the image, each twice as long as the one before, up to this. */
const longestSegment = 1 << 18;
const writeAsync = promisify(write);

/** What a record has after its inode. */
export interface RecordShape {
  readonly xattrs: number;
  /** Data that must not be divided between blocks. */
  readonly inline: number;
  /** All bytes after the attributes: the inline data, or a map. */
  readonly rest: number;
}

/** Where a record goes: in the image, and in `bytes` at `at`. */
export interface RecordPlace {
  readonly position: number;
  readonly bytes: Buffer;
  readonly at: number;
}

/**
 * The file of an image that is being written. Data is appended in whole blocks; records, which are many and small, are gathered in stretches of their
 * own between it. Memory is bounded, whatever comes.
 */
export class ImageOutput implements Disposable {
  readonly blockSize: number;
  readonly #descriptor: number;
  /** Where the next stretch of blocks begins, in bytes. */
  #end: number;
  #window = Buffer.alloc(0);
  #windowStart = 0;
  #windowUsed = 0;
  #segment = Buffer.alloc(0);
  #segmentStart = 0;
  #segmentUsed = 0;
  #isClosed = false;

  /** Creates the file, which must not exist. `start`: how many bytes at the beginning are the caller's to write. */
  constructor(file: string, blockSize: number, start: number) {
    this.blockSize = blockSize;
    this.#end = roundUp(start, blockSize);
    this.#descriptor = openSync(file, createFlags, ownFile);
  }

  /** How many blocks the image has so far. */
  get blocks(): number {
    return this.#end / this.blockSize;
  }

  /** Takes blocks that follow each other. Returns the first one's address. Throws EFBIG. */
  reserve(blocks: number): number {
    const address = this.#end / this.blockSize;
    if (address + blocks > blockLimit) throw new SystemError('write', os.errno.EFBIG);
    this.#end += blocks * this.blockSize;
    return address;
  }

  /** Appends data, and zeros up to a whole block. Returns the first block's address. */
  appendData(bytes: Uint8Array): number {
    const size = roundUp(bytes.length, this.blockSize);
    const address = this.reserve(size / this.blockSize);
    const position = address * this.blockSize;
    if (bytes.length >= largePiece) {
      this.writeAt(position, bytes);
      return address;
    }
    const isNext = position === this.#windowStart + this.#windowUsed;
    const isFull = this.#windowUsed + size > this.#window.length;
    if (!isNext || isFull) this.#writeWindow(position);
    if (isFull && this.#window.length < windowSize) {
      const isFirst = this.#window.length === 0 && size <= firstWindow;
      this.#window = Buffer.allocUnsafeSlow(isFirst ? firstWindow : windowSize);
    }
    this.#window.set(bytes, this.#windowUsed);
    this.#window.fill(0, this.#windowUsed + bytes.length, this.#windowUsed + size);
    this.#windowUsed += size;
    return address;
  }

  /** Writes at once, at a place that was taken for it. */
  writeAt(position: number, bytes: Uint8Array): void {
    for (let done = 0; done < bytes.length; ) {
      done += writeSync(this.#descriptor, bytes, done, bytes.length - done, position + done);
    }
  }

  /** Does the same, without blocking the thread. */
  async writeInBackground(position: number, bytes: Uint8Array): Promise<void> {
    for (let done = 0; done < bytes.length; ) {
      done += (await writeAsync(this.#descriptor, bytes, done, bytes.length - done, position + done))
        .bytesWritten;
    }
  }

  /** Takes a place for a record. What is there is zero, and the caller's to fill until the next call. */
  record(shape: RecordShape): RecordPlace {
    const size = inodeSize + shape.xattrs + shape.rest;
    let position = recordPosition(
      this.#segmentStart + this.#segmentUsed,
      shape.xattrs,
      shape.inline,
      this.blockSize,
    );
    if (position + size > this.#segmentStart + this.#segment.length) {
      this.#newSegment(size);
      position = this.#segmentStart;
    }
    const at = position - this.#segmentStart;
    this.#segmentUsed = at + size;
    return { position, bytes: this.#segment, at };
  }

  /** Takes a place for bytes that the image itself does not need. */
  keep(kept: Uint8Array): number {
    const { position, bytes, at } = this.record({ xattrs: 0, inline: 0, rest: kept.length - inodeSize });
    bytes.set(kept, at);
    return position;
  }

  /** Reads what was written. */
  read(position: number, length: number): Buffer {
    const from = position - this.#segmentStart;
    if (from >= 0 && from + length <= this.#segmentUsed) {
      return Buffer.from(this.#segment.subarray(from, from + length));
    }
    this.#writeWindow(this.#windowStart + this.#windowUsed);
    const bytes = Buffer.alloc(length);
    for (let done = 0; done < length; ) {
      const read = readSync(this.#descriptor, bytes, done, length - done, position + done);
      // What was taken and not written is a hole, also at the end.
      if (read === 0) break;
      done += read;
    }
    return bytes;
  }

  /** Writes what is in memory. The last stretch of records ends with the last of them. */
  flush(): void {
    this.#writeWindow(this.#end);
    if (this.#segmentStart + this.#segment.length === this.#end) {
      this.#end = roundUp(this.#segmentStart + this.#segmentUsed, this.blockSize);
    }
    this.#writeSegment();
    ftruncateSync(this.#descriptor, this.#end);
  }

  [Symbol.dispose](): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    closeSync(this.#descriptor);
  }

  #writeWindow(next: number): void {
    this.writeAt(this.#windowStart, this.#window.subarray(0, this.#windowUsed));
    this.#windowStart = next;
    this.#windowUsed = 0;
  }

  #newSegment(size: number): void {
    this.#writeSegment();
    const wanted = Math.min(Math.max(this.#segment.length * 2, this.blockSize), longestSegment);
    const length = Math.max(wanted, roundUp(size, this.blockSize));
    this.#segmentStart = this.reserve(length / this.blockSize) * this.blockSize;
    this.#segment = Buffer.alloc(length);
    this.#segmentUsed = 0;
  }

  #writeSegment(): void {
    this.writeAt(this.#segmentStart, this.#segment.subarray(0, this.#segmentUsed));
  }
}
