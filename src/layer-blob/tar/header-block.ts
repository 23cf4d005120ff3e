import type { ByteString } from '../../base/text/byte-string.ts';
import type { Fail } from './fail.ts';
import { blockSize } from './tar-entry.ts';

export function isZero(block: Buffer): boolean {
  return block.every((byte) => byte === 0);
}

/** The text of a field, which ends at its first zero byte. */
export function cString(bytes: Buffer): ByteString {
  const end = bytes.indexOf(0);
  return bytes.toString('latin1', 0, end < 0 ? bytes.length : end);
}

/** USTAR keeps the front of a long name in its own field; GNU uses that field for other things. */
export function headerName(block: Buffer): ByteString {
  const name = cString(block.subarray(0, 100));
  const isUstar = block.toString('latin1', 257, 263) === 'ustar\0';
  // star has times at the end of that field.
  const prefixEnd = block.toString('latin1', 508, 512) === 'tar\0' ? 476 : 500;
  const prefix = isUstar ? cString(block.subarray(345, prefixEnd)) : '';
  return prefix === '' ? name : `${prefix}/${name}`;
}

/** Octal text, or base-256 (two's complement) when the first byte's highest bit is set. */
export function headerNumber(block: Buffer, offset: number, length: number, fail: Fail): number {
  const field = block.subarray(offset, offset + length);
  if (field[0]! & 0x80) {
    const negative = (field[0]! & 0x40) !== 0;
    let value = BigInt(negative ? (field[0]! & 0x7f) - 0x80 : field[0]! & 0x7f);
    for (const byte of field.subarray(1)) value = value * 256n + BigInt(byte);
    return safeNumber(Number(value), fail);
  }
  const [text = ''] = field
    .toString('latin1')
    .replace(/^[\0 ]+/, '')
    .replace(/[\0 ]+$/, '')
    .split('\0');
  if (!/^[0-7]*$/.test(text)) throw fail(`a header has the number ${JSON.stringify(text)}`);
  return text === '' ? 0 : Number.parseInt(text, 8);
}

export function safeNumber(value: number, fail: Fail): number {
  if (!Number.isSafeInteger(value)) throw fail('a header holds a number beyond 2^53');
  return value;
}

/** Throws when the header's checksum is wrong, by signed and by unsigned bytes. */
export function verifyChecksum(block: Buffer, fail: Fail): void {
  let unsigned = 0;
  let signed = 0;
  for (let index = 0; index < blockSize; index++) {
    const byte = index >= 148 && index < 156 ? 0x20 : block[index]!;
    unsigned += byte;
    signed += byte < 128 ? byte : byte - 256;
  }
  const stated = headerNumber(block, 148, 8, fail);
  if (stated !== unsigned && stated !== signed) throw fail('a header has a wrong checksum');
}
