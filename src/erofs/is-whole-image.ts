import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { KilnError } from '../base/errors.ts';
import { parseSuperblock } from './format/superblock.ts';

const startSize = 4096;

/** Whether a file is an image that was written to its end, as far as its superblock and its size say. */
export function isWholeImage(file: string): boolean {
  const descriptor = openSync(file, 'r');
  try {
    const read = (size: number) => {
      const bytes = Buffer.alloc(size);
      return bytes.subarray(0, readSync(descriptor, bytes, 0, size, 0));
    };
    const { blocks, blockSize } = parseSuperblock(read(startSize), read);
    return fstatSync(descriptor).size >= blocks * blockSize;
  } catch (error) {
    if (error instanceof KilnError) return false;
    throw error;
  } finally {
    closeSync(descriptor);
  }
}
