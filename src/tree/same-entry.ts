import { type BigIntStats, closeSync, openSync, readlinkSync, readSync } from 'node:fs';
import { type ByteString, toSystemPath } from '../base/text/byte-string.ts';
import { getXattr, listXattrs } from '../linux/xattr.ts';
import { isOverlayMark } from './overlay-marks.ts';

export interface ComparedEntry {
  readonly path: ByteString;
  readonly stats: BigIntStats;
}

/**
 * Whether a file is as it was. Files with the same size, owner, mode, attributes and time stamp to the nanosecond count as the same
 * unread; where the time stamp has whole seconds only, their bytes are compared. The times of directories do not count,
 * nor what is in them.
 */
export function sameEntry(a: ComparedEntry, b: ComparedEntry): boolean {
  const [one, other] = [a.stats, b.stats];
  if (one.dev === other.dev && one.ino === other.ino) return true;
  if (one.mode !== other.mode || one.uid !== other.uid || one.gid !== other.gid) return false;
  if (one.rdev !== other.rdev && !one.isFile() && !one.isDirectory()) return false;
  if (!sameXattrs(a.path, b.path)) return false;
  if (one.isDirectory()) return true;
  if (one.isSymbolicLink()) return readlink(a.path).equals(readlink(b.path));
  if (!one.isFile()) return true;
  if (one.size !== other.size || one.mtimeNs !== other.mtimeNs) return false;
  return one.mtimeNs % 1_000_000_000n !== 0n || sameBytes(a.path, b.path);
}

function readlink(path: ByteString): Buffer {
  return readlinkSync(toSystemPath(path), { encoding: 'buffer' });
}

function sameXattrs(a: ByteString, b: ByteString): boolean {
  const namesOf = (path: ByteString) =>
    listXattrs(toSystemPath(path))
      .filter((name) => !isOverlayMark(name))
      .sort();
  const names = namesOf(a);
  const others = namesOf(b);
  return (
    names.length === others.length &&
    names.every(
      (name, index) =>
        name === others[index] &&
        getXattr(toSystemPath(a), name)?.equals(getXattr(toSystemPath(b), name) ?? Buffer.alloc(0)) === true,
    )
  );
}

function sameBytes(a: ByteString, b: ByteString): boolean {
  const size = 128 * 1024;
  const [one, other] = [Buffer.allocUnsafe(size), Buffer.allocUnsafe(size)];
  const first = openSync(toSystemPath(a), 'r');
  try {
    const second = openSync(toSystemPath(b), 'r');
    try {
      for (;;) {
        const read = readSync(first, one, 0, size, null);
        const readOther = readSync(second, other, 0, size, null);
        if (read !== readOther || !one.subarray(0, read).equals(other.subarray(0, readOther))) return false;
        if (read === 0) return true;
      }
    } finally {
      closeSync(second);
    }
  } finally {
    closeSync(first);
  }
}
