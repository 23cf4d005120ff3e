import type { Metadata } from '../../api/message-stream.ts';

/**
 * File sync puts names and patterns into call metadata, which is ASCII. A key with a value that is not has all its values
 * encoded as in a URL's query, and a second key, `<key>-encoded`, says so.
 */
export function encodeMetadata(plain: Metadata): Metadata {
  const encoded: Record<string, readonly string[]> = {};
  for (const [key, values] of Object.entries(plain)) {
    if (values.every(isPlain)) encoded[key] = values;
    else {
      encoded[key] = values.map((value) => encodeURIComponent(value.toWellFormed()));
      encoded[`${key}-encoded`] = ['1'];
    }
  }
  return encoded;
}

export function decodeMetadata(encoded: Metadata): Metadata {
  const plain: Record<string, readonly string[]> = {};
  for (const [key, values] of Object.entries(encoded)) {
    const isEncoded = /^(1|t|true)$/i.test(encoded[`${key}-encoded`]?.[0] ?? '');
    plain[key] = isEncoded ? values.map(queryDecode) : values;
  }
  return plain;
}

/** Printable, and without the spaces at the ends that HTTP strips. */
function isPlain(value: string): boolean {
  return /^[\x20-\x7e]*$/.test(value) && value.trim() === value;
}

function queryDecode(value: string): string {
  try {
    return decodeURIComponent(value.replaceAll('+', ' '));
  } catch {
    return value;
  }
}
