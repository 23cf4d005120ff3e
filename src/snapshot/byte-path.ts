/**
 * Paths as byte strings: one character (U+0000 to U+00FF) for each byte. File names need not be UTF-8; in this form they
 * are compared, sorted, joined and kept in maps like any string, and become a Buffer only for the system call.
 */
export type BytePath = string;

export function bytePath(text: string): BytePath {
  return Buffer.from(text).toString('latin1');
}

export function pathBuffer(path: BytePath): Buffer {
  return Buffer.from(path, 'latin1');
}
