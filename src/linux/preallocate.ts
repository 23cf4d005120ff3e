import { closeSync, openSync } from 'node:fs';
import { bindIfPresent } from './libc.ts';

const fallocate = bindIfPresent('int fallocate(int fd, int mode, int64_t offset, int64_t length)');

/** FALLOC_FL_KEEP_SIZE */
const keepSize = 1;

/** Gives a file disk space for its first `length` bytes, so that writing these later needs none; nothing of what it is changes. As far as the disk can. */
export function preallocate(file: string, length: number): void {
  const fd = openSync(file, 'r+');
  try {
    fallocate?.(fd, keepSize, 0, length);
  } finally {
    closeSync(fd);
  }
}
