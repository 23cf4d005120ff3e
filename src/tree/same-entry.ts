import { type BigIntStats, readlinkSync } from 'node:fs';
import { type ByteString, toSystemPath } from '../base/text/byte-string.ts';
import { getXattr, listXattrs } from '../linux/xattr.ts';
import { isOverlayMark } from './overlay-marks.ts';
import { haveSameData } from './same-data.ts';

export interface ComparedEntry {
  readonly path: ByteString;
  readonly stats: BigIntStats;
}

/**
 * Whether two entries are the same. Files with the same size, owner, mode, attributes and time stamp to the nanosecond count as the same without being
 * read. Where the time stamp is a whole second, their data is compared, since an archive may have cut the stamp. Neither the times nor the contents of directories count.
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
  return one.mtimeNs % 1_000_000_000n !== 0n || haveSameData(a.path, b.path);
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
