import { type BigIntStats, chmodSync, lchownSync, linkSync, readlinkSync, symlinkSync } from 'node:fs';
import { type ByteString, toSystemPath } from '../base/text/byte-string.ts';
import { SourceFile } from '../linux/copy-file.ts';
import { mknod } from '../linux/mknod.ts';
import { utimens } from '../linux/utimens.ts';
import { copyXattrs, listXattrs, removeXattr } from '../linux/xattr.ts';
import { isSecurityLabel } from './machine-attributes.ts';
import { isForeignMark, isOverlayMark, isWhiteout } from './overlay-marks.ts';
import type { EntryChanges, SourceEntry } from './tree-maker.ts';

/**
 * What a copy keeps.
 *
 * - `layer`: it becomes part of the same tree as its source was part of, so everything is kept but marks, also names of one link or device,
 *   and attributes that its directory passes on to it are taken away.
 * - `content`: it becomes part of another tree, as `TreeMaker.copy` says.
 */
export type CopyRules = 'layer' | 'content';

const typeMask = 0o170000n;
const regular = 0o100000n;
const socket = 0o140000n;

/** Makes `target`, a path of this machine at which nothing is, like `source`, which is not a directory. Throws EEXIST. */
export function copyEntry(
  { path, stats }: SourceEntry,
  target: ByteString,
  rules: CopyRules,
  changes: EntryChanges,
): void {
  const type = stats === undefined ? regular : stats.mode & typeMask;
  if (type === regular) {
    copyFile(path, target, rules, changes);
    return;
  }
  const own = stats!;
  const to = toSystemPath(target);
  if (rules === 'layer' && own.nlink > 1n && isLinked(`${own.dev}:${own.ino}`, target, changes)) return;
  if (own.isSymbolicLink()) symlinkSync(readlinkSync(toSystemPath(path), { encoding: 'buffer' }), to);
  else if (rules === 'layer') mknod(to, Number(own.mode), own.rdev);
  else if (type === socket) mknod(to, Number(regular) | 0o600);
  // Only a plain tree can have it; in a layer it would delete.
  else if (isWhiteout(own)) return;
  else mknod(to, Number(type) | 0o600, own.rdev);
  copyMetadata({ path, stats: own }, target, rules, changes);
}

/** Gives a copy the owner, mode, attributes and times of its source, or what `changes` says instead. */
export function copyMetadata(
  source: Required<SourceEntry>,
  target: ByteString,
  rules: CopyRules,
  changes: EntryChanges,
): void {
  copyAccess(source, target, rules, changes);
  copyTimes(source.stats, target, changes.timestamp);
}

/** The same without the times, which a directory gets after its entries. */
export function copyAccess(
  { path, stats }: Required<SourceEntry>,
  target: ByteString,
  rules: CopyRules,
  { owner, mode, leavesOut = defaultLeavesOut[rules] }: EntryChanges = {},
): void {
  const [from, to] = [toSystemPath(path), toSystemPath(target)];
  lchownSync(to, owner?.uid ?? Number(stats.uid), owner?.gid ?? Number(stats.gid));
  if (rules === 'layer') removeInherited(to, from);
  copyXattrs(from, to, leavesOut);
  // After an access control list, which has a mode in it.
  if (stats.isSymbolicLink()) return;
  const own = Number(stats.mode & 0o7777n);
  chmodSync(to, mode ? mode(own, stats.isDirectory()) : own);
}

/** Sets the times that `stats` has, or `timestamp` as both. */
export function copyTimes(stats: BigIntStats, target: ByteString, timestamp?: bigint): void {
  utimens(toSystemPath(target), timestamp ?? stats.atimeNs, timestamp ?? stats.mtimeNs);
}

const defaultLeavesOut: Readonly<Record<CopyRules, (name: string) => boolean>> = {
  layer: isOverlayMark,
  content: isForeignMark,
};

function copyFile(path: ByteString, target: ByteString, rules: CopyRules, changes: EntryChanges): void {
  const from = toSystemPath(path);
  using file = new SourceFile(from);
  if (file.identity !== undefined && isLinked(file.identity, target, changes)) return;
  const to = toSystemPath(target);
  file.copyTo(to, changes, changes.leavesOut ?? defaultLeavesOut[rules]);
  if (rules === 'layer') removeInherited(to, from);
}

/** Whether another name of the same file was copied before, which the target then is a name of as well. */
function isLinked(identity: string, target: ByteString, { firstNames }: EntryChanges): boolean {
  const first = firstNames?.get(identity);
  if (first === undefined) {
    firstNames?.set(identity, target);
    return false;
  }
  linkSync(toSystemPath(first), toSystemPath(target));
  return true;
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
