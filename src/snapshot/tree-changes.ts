import { closeSync, openSync, readlinkSync, readSync } from 'node:fs';
import { getXattr, listXattrs } from '../linux/xattr.ts';
import { type BytePath, pathBuffer } from './byte-path.ts';
import { type LayeredEntry, readLayeredDir } from './layered-tree.ts';
import { isOverlayAttribute } from './overlay-marks.ts';

/** One difference between two trees. `path` is relative to their roots. A directory is listed before what is in it. */
export type TreeChange =
  | { readonly kind: 'deleted'; readonly path: BytePath }
  /** `replaced`: the lower tree has something else than a directory there, or nothing that could stay. */
  | {
      readonly kind: 'written';
      readonly path: BytePath;
      readonly entry: LayeredEntry;
      readonly replaced: boolean;
    };

/**
 * What `upper` has that `lower` has not, and the other way round, both directories: in each directory first what
 * is written, in the order of the names' bytes, then what is deleted.
 * Files with the same size, owner, mode, attributes and time stamp to the nanosecond count as the same unread; where
 * the time stamp has whole seconds only, their bytes are compared.
 */
export function* treeChanges(
  lower: LayeredEntry | undefined,
  upper: LayeredEntry,
  base: BytePath = '',
): Generator<TreeChange> {
  const before = new Map(
    (lower?.dirs ? readLayeredDir(lower.dirs) : []).map((entry) => [entry.name, entry] as const),
  );
  for (const entry of upper.dirs ? readLayeredDir(upper.dirs) : []) {
    const path = base === '' ? entry.name : `${base}/${entry.name}`;
    const old = before.get(entry.name);
    before.delete(entry.name);
    if (!old || !sameEntry(old, entry)) {
      yield { kind: 'written', path, entry, replaced: old !== undefined && !(old.dirs && entry.dirs) };
    }
    if (entry.dirs) yield* treeChanges(old?.dirs ? old : undefined, entry, path);
  }
  for (const name of before.keys()) yield { kind: 'deleted', path: base === '' ? name : `${base}/${name}` };
}

function sameEntry(a: LayeredEntry, b: LayeredEntry): boolean {
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

function readlink(path: BytePath): Buffer {
  return readlinkSync(pathBuffer(path), { encoding: 'buffer' });
}

function sameXattrs(a: BytePath, b: BytePath): boolean {
  const namesOf = (path: BytePath) =>
    listXattrs(pathBuffer(path))
      .filter((name) => !isOverlayAttribute(name))
      .sort();
  const names = namesOf(a);
  const others = namesOf(b);
  return (
    names.length === others.length &&
    names.every(
      (name, index) =>
        name === others[index] &&
        getXattr(pathBuffer(a), name)?.equals(getXattr(pathBuffer(b), name) ?? Buffer.alloc(0)) === true,
    )
  );
}

function sameBytes(a: BytePath, b: BytePath): boolean {
  const size = 128 * 1024;
  const [one, other] = [Buffer.allocUnsafe(size), Buffer.allocUnsafe(size)];
  const first = openSync(pathBuffer(a), 'r');
  try {
    const second = openSync(pathBuffer(b), 'r');
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
