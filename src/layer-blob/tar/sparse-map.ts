import type { Fail } from './fail.ts';
import type { TarHandler } from './tar-handler.ts';

/** Pieces of data that a sparse file may have; a map of more is an attack. */
const maximumPieces = 1 << 20;

/**
 * Where the data of a sparse file lies: pieces in ascending order, holes between them. What does not describe a file of `size`
 * bytes is thrown as `fail` says, before anything is made of it.
 */
export class SparseMap {
  readonly size: number;
  readonly #fail: Fail;
  /** Offset and length of each piece. */
  readonly #pieces: number[] = [];
  #end = 0;
  /** Bytes of data, the holes left out. */
  #dataSize = 0;

  constructor(size: number, fail: Fail) {
    if (size < 0) throw fail('its sparse size is negative');
    this.size = size;
    this.#fail = fail;
  }

  add(offset: number, length: number): void {
    if (offset < 0 || length < 0) throw this.#fail('its sparse map has a negative number');
    if (offset < this.#end) throw this.#fail('its sparse map overlaps or is out of order');
    if (offset > this.size || length > this.size - offset) {
      throw this.#fail('its sparse map reaches beyond its size');
    }
    this.#end = offset + length;
    // An empty piece says where the file ends, and its size does that.
    if (length === 0) return;
    if (this.#pieces.length >= 2 * maximumPieces) {
      throw this.#fail(`its sparse map has more than ${maximumPieces} pieces`);
    }
    this.#pieces.push(offset, length);
    this.#dataSize += length;
  }

  /** To be asked when the map is complete and `size` bytes of data are to come. */
  verifyDataSize(size: number): void {
    if (size !== this.#dataSize) {
      throw this.#fail(`its sparse map is of ${this.#dataSize} bytes of data, and it has ${size}`);
    }
  }

  /** For the data as it comes. */
  placing(handler: TarHandler): SparseData {
    return new SparseData(this.#pieces, this.size, handler);
  }
}

/** Hands on a sparse file's data with the holes between its pieces. */
export class SparseData {
  readonly #pieces: readonly number[];
  readonly #size: number;
  readonly #handler: TarHandler;
  #next = 0;
  #position = 0;
  /** Of the piece that has begun. */
  #remaining = 0;

  constructor(pieces: readonly number[], size: number, handler: TarHandler) {
    this.#pieces = pieces;
    this.#size = size;
    this.#handler = handler;
  }

  write(chunk: Uint8Array): void {
    for (let at = 0; at < chunk.length; ) {
      if (this.#remaining === 0) {
        this.#skipTo(this.#pieces[this.#next]!);
        this.#remaining = this.#pieces[this.#next + 1]!;
        this.#next += 2;
      }
      const taken = Math.min(this.#remaining, chunk.length - at);
      this.#handler.data(chunk.subarray(at, at + taken));
      this.#position += taken;
      this.#remaining -= taken;
      at += taken;
    }
  }

  end(): void {
    this.#skipTo(this.#size);
  }

  #skipTo(position: number): void {
    if (position > this.#position) this.#handler.hole(position - this.#position);
    this.#position = position;
  }
}

/** Reads the map that pax's GNU.sparse 1.0 puts before the data: a count, then offsets and lengths, each in a line. */
export class SparseMapText {
  readonly #map: SparseMap;
  readonly #fail: Fail;
  #digits = '';
  /** Numbers to come; unknown until the count is read. */
  #awaited: number | undefined;
  #offset: number | undefined;

  constructor(map: SparseMap, fail: Fail) {
    this.#map = map;
    this.#fail = fail;
  }

  get isComplete(): boolean {
    return this.#awaited === 0;
  }

  /** Takes bytes up to the map's last. */
  write(bytes: Uint8Array): void {
    for (const byte of bytes) {
      if (this.isComplete) return;
      if (byte === 0x0a) this.#number(sparseNumber(this.#digits, this.#fail));
      else {
        this.#digits += String.fromCharCode(byte);
        if (this.#digits.length > maximumDigits) throw malformed(this.#fail);
      }
    }
  }

  #number(value: number): void {
    this.#digits = '';
    if (this.#awaited === undefined) {
      if (value > maximumPieces) throw this.#fail(`its sparse map has more than ${maximumPieces} pieces`);
      this.#awaited = 2 * value;
      return;
    }
    this.#awaited--;
    if (this.#offset === undefined) this.#offset = value;
    else {
      this.#map.add(this.#offset, value);
      this.#offset = undefined;
    }
  }
}

/** 2^63 has as many. */
const maximumDigits = 19;

/** A number of a sparse map in decimal digits. */
export function sparseNumber(text: string, fail: Fail): number {
  const value = Number(text);
  if (!/^[0-9]{1,19}$/.test(text) || !Number.isSafeInteger(value)) throw malformed(fail, text);
  return value;
}

function malformed(fail: Fail, text?: string): Error {
  return fail(
    text === undefined
      ? 'its sparse map is no list of numbers'
      : `its sparse map has the number ${JSON.stringify(text.slice(0, 40))}`,
  );
}
