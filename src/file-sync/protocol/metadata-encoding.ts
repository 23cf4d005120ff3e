import type { Metadata } from '../../api/message-stream.ts';

/**
 * File sync puts names and patterns into call metadata, which is ASCII. A key with a value that is not has all its values
 * encoded as in a URL's query, and a second key, `<key>-encoded`, says so.
 */
export function encodeMetadata(plain: Metadata): Metadata {
  return Object.fromEntries(
    Object.entries(plain).flatMap(([key, values]): [string, readonly string[]][] =>
      values.every(isPlain)
        ? [[key, values]]
        : [
            [key, values.map((value) => encodeURIComponent(value.toWellFormed()))],
            [`${key}-encoded`, ['1']],
          ],
    ),
  );
}

export function decodeMetadata(encoded: Metadata): Metadata {
  return Object.fromEntries(
    Object.entries(encoded).map(([key, values]) => {
      const isEncoded = /^(1|t|true)$/i.test(encoded[`${key}-encoded`]?.[0] ?? '');
      return [key, isEncoded ? values.map(queryDecode) : values];
    }),
  );
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
