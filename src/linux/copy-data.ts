import { ftruncateSync, readSync, writeSync } from 'node:fs';
import { constants } from 'node:os';
import { bind, bindIfPresent, lastErrno, SystemError } from './libc.ts';

const lseek = bind('int64_t lseek(int fd, int64_t offset, int whence)');
const ioctl = bind('int ioctl(int fd, unsigned long request, int argument)');
const copyFileRange = bindIfPresent(
  'int64_t copy_file_range(int from, int64_t *fromOffset, int to, int64_t *toOffset, size_t length, unsigned int flags)',
);

const seekData = 3;
const seekHole = 4;
const ficlone = 0x40049409;
const { ENXIO } = constants.errno;

/**
 * Copies the first `size` bytes of one open file to another, empty one: by sharing blocks where the file system can,
 * else inside the kernel. Holes stay holes.
 */
export function copyData(from: number, to: number, size: number): void {
  if (size === 0) return;
  if (ioctl(to, ficlone, from) === 0) return;
  for (const { start, end } of dataRanges(from, size)) copyExtent(from, to, start, end);
  ftruncateSync(to, size);
}

/** Where the first `size` bytes of an open file are no hole, in order. */
export function* dataRanges(
  fd: number,
  size: number,
): Iterable<{ readonly start: number; readonly end: number }> {
  for (let offset = 0; offset < size; ) {
    const start = seek(fd, offset, seekData);
    if (start === undefined || start >= size) return;
    const end = Math.min(seek(fd, start, seekHole) ?? size, size);
    yield { start, end };
    offset = end;
  }
}

/** Undefined when nothing but a hole follows `offset`; where the file system knows no holes, all is data. */
function seek(fd: number, offset: number, whence: number): number | undefined {
  const found = lseek(fd, offset, whence);
  if (found >= 0) return Number(found);
  const errno = lastErrno();
  if (errno === ENXIO) return undefined;
  if (errno === constants.errno.EINVAL) return whence === seekData ? offset : undefined;
  throw new SystemError('lseek', errno);
}

function copyExtent(from: number, to: number, start: number, end: number): void {
  const fromOffset = [start];
  const toOffset = [start];
  while (copyFileRange && fromOffset[0]! < end) {
    const copied = copyFileRange(from, fromOffset, to, toOffset, end - fromOffset[0]!, 0);
    if (copied <= 0) break;
    fromOffset[0] = start + copied;
    toOffset[0] = start + copied;
    start += copied;
  }
  const buffer = Buffer.allocUnsafe(Math.min(1 << 20, Math.max(end - start, 1)));
  while (start < end) {
    const read = readSync(from, buffer, 0, Math.min(buffer.length, end - start), start);
    if (read === 0) return;
    let written = 0;
    while (written < read) written += writeSync(to, buffer, written, read - written, start + written);
    start += read;
  }
}
