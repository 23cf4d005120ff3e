import { KilnError } from '../../base/errors.ts';

/**
 * Protobuf's wire format for the two messages of file sync. Written by hand because a context has tens of thousands of them,
 * and because their strings are bytes that need not be UTF-8, which protobuf libraries reject.
 */
export class WireWriter {
  #buffer = Buffer.allocUnsafe(1024);
  #length = 0;

  /** What was written since the last `take`, as a copy. */
  take(): Buffer {
    const bytes = Buffer.from(this.#buffer.subarray(0, this.#length));
    this.#length = 0;
    return bytes;
  }

  /** Leaves the field out when it is zero, as proto3 does. */
  uint(field: number, value: number): void {
    if (value === 0) return;
    this.#reserve(20);
    this.#varint(field << 3);
    this.#varint(value);
  }

  int64(field: number, value: bigint): void {
    if (value === 0n) return;
    this.#reserve(20);
    this.#varint(field << 3);
    let rest = BigInt.asUintN(64, value);
    while (rest > 0x7fn) {
      this.#buffer[this.#length++] = Number(rest & 0x7fn) | 0x80;
      rest >>= 7n;
    }
    this.#buffer[this.#length++] = Number(rest);
  }

  /** A byte string. */
  string(field: number, value: string): void {
    if (value === '') return;
    this.#reserve(20 + value.length);
    this.#varint((field << 3) | 2);
    this.#varint(value.length);
    this.#length += this.#buffer.write(value, this.#length, 'latin1');
  }

  /** Written even when empty. */
  bytes(field: number, value: Uint8Array): void {
    this.#reserve(20 + value.length);
    this.#varint((field << 3) | 2);
    this.#varint(value.length);
    this.#buffer.set(value, this.#length);
    this.#length += value.length;
  }

  #varint(value: number): void {
    let rest = value;
    while (rest > 0x7f) {
      this.#buffer[this.#length++] = (rest % 0x80) | 0x80;
      rest = Math.floor(rest / 0x80);
    }
    this.#buffer[this.#length++] = rest;
  }

  #reserve(size: number): void {
    if (this.#length + size <= this.#buffer.length) return;
    const larger = Buffer.allocUnsafe(Math.max(this.#buffer.length * 2, this.#length + size));
    this.#buffer.copy(larger, 0, 0, this.#length);
    this.#buffer = larger;
  }
}

/** Reads one message field by field. Throws `invalid_argument` when it is cut short or malformed. */
export class WireReader {
  readonly #buffer: Buffer;
  #at = 0;
  /** Of the field that `next` moved to. */
  field = 0;
  #type = 0;

  constructor(buffer: Buffer) {
    this.#buffer = buffer;
  }

  /** Moves to the next field; false at the end. Its value must be read, or skipped. */
  next(): boolean {
    if (this.#at >= this.#buffer.length) return false;
    const tag = this.#varint();
    this.field = Math.floor(tag / 8);
    this.#type = tag & 7;
    return true;
  }

  /** Exact up to 2^53. */
  uint(): number {
    this.#expect(0);
    return this.#varint();
  }

  int64(): bigint {
    this.#expect(0);
    let value = 0n;
    let shift = 0n;
    for (;;) {
      const byte = this.#byte();
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return BigInt.asIntN(64, value);
      shift += 7n;
      if (shift > 63n) throw malformed();
    }
  }

  /** A view. */
  bytes(): Buffer {
    this.#expect(2);
    const size = this.#varint();
    const end = this.#at + size;
    if (end > this.#buffer.length) throw malformed();
    const bytes = this.#buffer.subarray(this.#at, end);
    this.#at = end;
    return bytes;
  }

  /** A byte string. */
  string(): string {
    return this.bytes().toString('latin1');
  }

  skip(): void {
    switch (this.#type) {
      case 0:
        this.#varint();
        return;
      case 1:
        this.#at += 8;
        return;
      case 2:
        this.bytes();
        return;
      case 5:
        this.#at += 4;
        return;
      default:
        throw malformed();
    }
  }

  #expect(type: number): void {
    if (this.#type !== type) throw malformed();
  }

  #varint(): number {
    let value = 0;
    let scale = 1;
    for (let count = 0; count < 10; count++) {
      const byte = this.#byte();
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
      scale *= 0x80;
    }
    throw malformed();
  }

  #byte(): number {
    const byte = this.#buffer[this.#at++];
    if (byte === undefined) throw malformed();
    return byte;
  }
}

function malformed(): KilnError {
  return new KilnError('invalid_argument', 'malformed message in file sync');
}
