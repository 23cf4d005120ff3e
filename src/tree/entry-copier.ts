import {
  type BigIntStats,
  chmodSync,
  lchownSync,
  linkSync,
  mkdirSync,
  readlinkSync,
  symlinkSync,
} from 'node:fs';
import { errnoOf } from '../base/errors.ts';
import { type ByteString, toSystemPath } from '../base/text/byte-string.ts';
import { SourceFile } from '../linux/copy-file.ts';
import { mknod } from '../linux/mknod.ts';
import { utimens } from '../linux/utimens.ts';
import { copyXattrs, listXattrs, removeXattr } from '../linux/xattr.ts';
import { isSecurityLabel } from './machine-attributes.ts';
import { isOverlayMark } from './overlay-marks.ts';

/** Reproduces files with all they have: owner, mode, times, attributes, holes, and hard links among what it copied. */
export class EntryCopier {
  readonly #firstNames = new Map<string, ByteString>();

  /** Makes `target`, which does not exist, like `source`, which is not a directory. */
  copy(source: ByteString, stats: BigIntStats, target: ByteString): void {
    if (stats.nlink > 1n) {
      const key = `${stats.dev}:${stats.ino}`;
      const first = this.#firstNames.get(key);
      if (first !== undefined) {
        linkSync(toSystemPath(first), toSystemPath(target));
        return;
      }
      this.#firstNames.set(key, target);
    }
    const path = toSystemPath(target);
    if (stats.isFile()) {
      using file = new SourceFile(toSystemPath(source));
      file.copyTo(path, {}, isOverlayMark);
      removeInherited(path, toSystemPath(source));
      return;
    }
    if (stats.isSymbolicLink()) {
      symlinkSync(readlinkSync(toSystemPath(source), { encoding: 'buffer' }), path);
    } else mknod(path, Number(stats.mode), stats.rdev);
    copyOwnerAndMode(source, stats, target);
    copyTimes(stats, target);
  }

  /** Makes the directory `target` if it is not there, without contents, like `source` but for its times. */
  copyDirectory(source: ByteString, stats: BigIntStats, target: ByteString): void {
    try {
      mkdirSync(toSystemPath(target), 0o700);
    } catch (error) {
      if (errnoOf(error) !== 'EEXIST') throw error;
    }
    copyOwnerAndMode(source, stats, target);
  }
}

/** Sets the times that `stats` has; for a directory after its entries are made. */
export function copyTimes(stats: BigIntStats, target: ByteString): void {
  utimens(toSystemPath(target), stats.atimeNs, stats.mtimeNs);
}

function copyOwnerAndMode(source: ByteString, stats: BigIntStats, target: ByteString): void {
  const [from, to] = [toSystemPath(source), toSystemPath(target)];
  lchownSync(to, Number(stats.uid), Number(stats.gid));
  removeInherited(to, from);
  copyXattrs(from, to, isOverlayMark);
  // After an access control list, which has a mode in it.
  if (!stats.isSymbolicLink()) chmodSync(to, Number(stats.mode & 0o7777n));
}

/** Takes away what the copy has and its source has not: a directory gives its default access list to what is made in it. */
function removeInherited(copy: string | Buffer, source: string | Buffer): void {
  const present = listXattrs(copy);
  if (present.length === 0) return;
  const names = new Set(listXattrs(source));
  for (const name of present) {
    const belongs = isSecurityLabel(name) || (names.has(name) && !isOverlayMark(name));
    if (!belongs) removeXattr(copy, name);
  }
}
