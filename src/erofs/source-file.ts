import { type BigIntStats, closeSync, constants, fstatSync, openSync, readlinkSync, readSync } from 'node:fs';
import { constants as os } from 'node:os';
import { type ByteString, toSystemPath } from '../base/text/byte-string.ts';
import { dataRanges } from '../linux/copy-data.ts';
import { SystemError } from '../linux/libc.ts';
import { getXattr, listXattrs } from '../linux/xattr.ts';
import type { GrowingFile } from '../tree/tree-maker.ts';

const { O_NOFOLLOW, O_NONBLOCK, O_RDONLY } = constants;
/** A file that is not larger is read at once. */
const smallFile = 1 << 16;
/** Reused by the synchronous calls of this thread. */
const buffer = Buffer.allocUnsafeSlow(1 << 18);

/** A regular file of this machine that is copied into an image. */
export interface SourceFile {
  readonly stats: BigIntStats;
  /** All of its data, valid until another file is read; undefined for one that is large. */
  whole(): Buffer | undefined;
  /** Gives its data to a file that grows, with its holes. */
  copyTo(target: GrowingFile): void;
}

/** Opens a file, follows no link, and closes it after `use`. Throws EINVAL for what is no regular file. */
export function readSourceFile(path: ByteString, use: (file: SourceFile) => void): void {
  const from = toSystemPath(path);
  const descriptor = openSync(from, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  try {
    const stats = fstatSync(descriptor, { bigint: true });
    if (!stats.isFile()) throw new SystemError('open', os.errno.EINVAL, from);
    use({
      stats,
      whole: () => (stats.size > BigInt(smallFile) ? undefined : readSmall(descriptor)),
      copyTo: (target) => copyTo(descriptor, Number(stats.size), target),
    });
  } finally {
    closeSync(descriptor);
  }
}

export function readSourceLink(path: ByteString): Buffer {
  return readlinkSync(toSystemPath(path), { encoding: 'buffer' });
}

/** The attributes of a file of this machine, but those that `leavesOut` names. */
export function readSourceXattrs(
  path: ByteString,
  leavesOut: (name: string) => boolean,
): ReadonlyMap<string, ByteString> {
  const file = toSystemPath(path);
  const xattrs = new Map<string, ByteString>();
  for (const name of listXattrs(file)) {
    const value = leavesOut(name) ? undefined : getXattr(file, name);
    if (value) xattrs.set(name, value.toString('latin1'));
  }
  return xattrs;
}

/** Undefined when it has grown since. */
function readSmall(descriptor: number): Buffer | undefined {
  let size = 0;
  for (;;) {
    const read = readSync(descriptor, buffer, size, smallFile + 1 - size, size);
    if (read === 0) return buffer.subarray(0, size);
    size += read;
    if (size > smallFile) return undefined;
  }
}

function copyTo(descriptor: number, size: number, target: GrowingFile): void {
  let at = 0;
  for (const { start, end } of dataRanges(descriptor, size)) {
    if (start > at) target.hole(start - at);
    for (at = start; at < end; ) {
      const read = readSync(descriptor, buffer, 0, Math.min(buffer.length, end - at), at);
      // It was made shorter.
      if (read === 0) return;
      target.write(buffer.subarray(0, read));
      at += read;
    }
  }
  if (size > at) target.hole(size - at);
}
