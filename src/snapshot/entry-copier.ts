import {
  type BigIntStats,
  chmodSync,
  closeSync,
  lchownSync,
  linkSync,
  mkdirSync,
  openSync,
  readlinkSync,
  symlinkSync,
} from 'node:fs';
import { errnoOf } from '../base/errors.ts';
import { copyData } from '../linux/copy-data.ts';
import { mknod } from '../linux/mknod.ts';
import { isOverlayMark } from '../linux/overlay-marks.ts';
import { utimens } from '../linux/utimens.ts';
import { getXattr, listXattrs, removeXattr, setXattr } from '../linux/xattr.ts';
import { type BytePath, pathBuffer } from './byte-path.ts';

/** `link`: files that are not directories are hard links to the original (copied where that cannot be). */
export type CopyMethod = 'link' | 'copy';

/** Reproduces files with all they have: owner, mode, times, attributes, holes, and hard links among what it copied. */
export class EntryCopier {
  readonly #method: CopyMethod;
  readonly #copies = new Map<string, BytePath>();

  constructor(method: CopyMethod) {
    this.#method = method;
  }

  /** Makes `target`, which does not exist, like `source`, which is not a directory. */
  copy(source: BytePath, stats: BigIntStats, target: BytePath): void {
    if (this.#method === 'link' && tryLink(source, target)) return;
    if (stats.nlink > 1n) {
      const key = `${stats.dev}:${stats.ino}`;
      const earlier = this.#copies.get(key);
      if (earlier !== undefined && tryLink(earlier, target)) return;
      this.#copies.set(key, target);
    }
    const path = pathBuffer(target);
    if (stats.isFile()) copyFile(source, stats, path);
    else if (stats.isSymbolicLink()) {
      symlinkSync(readlinkSync(pathBuffer(source), { encoding: 'buffer' }), path);
    } else mknod(path, Number(stats.mode), stats.rdev);
    copyMetadata(source, stats, target);
  }

  /** Makes the directory `target` if it is not there, without contents, like `source` but for its times. */
  copyDirectory(source: BytePath, stats: BigIntStats, target: BytePath): void {
    try {
      mkdirSync(pathBuffer(target), 0o700);
    } catch (error) {
      if (errnoOf(error) !== 'EEXIST') throw error;
    }
    copyOwnerAndMode(source, stats, target);
  }
}

/** Sets the times that `stats` has; for a directory after its entries are made. */
export function copyTimes(stats: BigIntStats, target: BytePath): void {
  utimens(pathBuffer(target), stats.atimeNs, stats.mtimeNs);
}

function tryLink(existing: BytePath, target: BytePath): boolean {
  try {
    linkSync(pathBuffer(existing), pathBuffer(target));
    return true;
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === 'EMLINK' || errno === 'EXDEV' || errno === 'EPERM') return false;
    throw error;
  }
}

function copyFile(source: BytePath, stats: BigIntStats, target: Buffer): void {
  const from = openSync(pathBuffer(source), 'r');
  try {
    const to = openSync(target, 'wx', 0o600);
    try {
      copyData(from, to, Number(stats.size));
    } finally {
      closeSync(to);
    }
  } finally {
    closeSync(from);
  }
}

function copyMetadata(source: BytePath, stats: BigIntStats, target: BytePath): void {
  copyOwnerAndMode(source, stats, target);
  copyTimes(stats, target);
}

function copyOwnerAndMode(source: BytePath, stats: BigIntStats, target: BytePath): void {
  const path = pathBuffer(target);
  lchownSync(path, Number(stats.uid), Number(stats.gid));
  if (!stats.isSymbolicLink()) chmodSync(path, Number(stats.mode & 0o7777n));
  const names = listXattrs(pathBuffer(source)).filter((name) => !isOverlayMark(name));
  if (stats.isDirectory()) {
    for (const name of listXattrs(path)) if (!names.includes(name)) removeXattr(path, name);
  }
  for (const name of names) {
    const value = getXattr(pathBuffer(source), name);
    if (value) setXattr(path, name, value);
  }
}
