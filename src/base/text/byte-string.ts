/**
 * File names are bytes on Linux, of any encoding or none. In the layer code they travel as byte strings: one character
 * of code 0 to 255 per byte (what Node calls `latin1`), which sort as bytes and lose nothing.
 */
export type ByteString = string;

/** A path or text in Unicode as the byte string of its UTF-8. */
export function toByteString(text: string): ByteString {
  return isAscii(text) ? text : Buffer.from(text).toString('latin1');
}

/** A byte string read as UTF-8; bytes that are not become U+FFFD. For messages and patterns. */
export function fromByteString(bytes: ByteString): string {
  return isAscii(bytes) ? bytes : Buffer.from(bytes, 'latin1').toString('utf8');
}

/** A byte string as Node's file functions take it. */
export function toSystemPath(bytes: ByteString): string | Buffer {
  return isAscii(bytes) ? bytes : Buffer.from(bytes, 'latin1');
}

export function isAscii(text: string): boolean {
  return !/[^\x00-\x7f]/.test(text);
}
