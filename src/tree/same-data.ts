import { closeSync, openSync, readSync } from 'node:fs';
import { type ByteString, toSystemPath } from '../base/text/byte-string.ts';

const blockSize = 256 * 1024;

/** Whether two regular files, by their paths on this machine, have the same data. */
export function haveSameData(a: ByteString, b: ByteString): boolean {
  const [left, right] = [Buffer.allocUnsafe(blockSize), Buffer.allocUnsafe(blockSize)];
  const leftFile = openSync(toSystemPath(a), 'r');
  try {
    const rightFile = openSync(toSystemPath(b), 'r');
    try {
      for (;;) {
        const size = readFully(leftFile, left);
        if (size !== readFully(rightFile, right)) return false;
        if (left.compare(right, 0, size, 0, size) !== 0) return false;
        if (size < left.length) return true;
      }
    } finally {
      closeSync(rightFile);
    }
  } finally {
    closeSync(leftFile);
  }
}

/** Fills the buffer; less only at the end of the file. */
function readFully(file: number, buffer: Buffer): number {
  let size = 0;
  while (size < buffer.length) {
    const read = readSync(file, buffer, size, buffer.length - size, null);
    if (read === 0) break;
    size += read;
  }
  return size;
}
