import { BinaryReader, WireType } from '@bufbuild/protobuf/wire';
import { KilnError } from '../base/errors.ts';

/**
 * BuildKit's several `BytesMessage`s: one bytes field, number 1. Coded by hand because all bulk data passes through here:
 * decoding gives a view, encoding copies once.
 */
const fieldTag = (1 << 3) | WireType.LengthDelimited;

/** The message of all `parts`, one after another. */
export function encodeBytesMessage(...parts: readonly Uint8Array[]): Buffer {
  const size = parts.reduce((sum, part) => sum + part.length, 0);
  if (size === 0) return Buffer.alloc(0);
  const head: number[] = [fieldTag];
  let rest = size;
  while (rest > 0x7f) {
    head.push((rest & 0x7f) | 0x80);
    rest >>>= 7;
  }
  head.push(rest);
  const message = Buffer.allocUnsafe(head.length + size);
  message.set(head);
  let at = head.length;
  for (const part of parts) {
    message.set(part, at);
    at += part.length;
  }
  return message;
}

/** A view into `message`. Throws `invalid_argument` for what is not protobuf. */
export function decodeBytesMessage(message: Uint8Array): Uint8Array {
  try {
    const reader = new BinaryReader(message);
    let data: Uint8Array = new Uint8Array();
    while (reader.pos < reader.len) {
      const [field, type] = reader.tag();
      if (field === 1 && type === WireType.LengthDelimited) data = reader.bytes();
      else reader.skip(type, field);
    }
    return data;
  } catch (cause) {
    throw new KilnError('invalid_argument', 'malformed bytes message', { cause });
  }
}
