import { type BigIntStats, lstatSync, readdirSync, readlinkSync } from 'node:fs';
import { type ByteString, toByteString, toSystemPath } from '../base/text/byte-string.ts';
import type { SnapshotChanges } from '../snapshot/snapshot.ts';
import { readLayerXattrs } from '../tree/layer-xattrs.ts';
import { MergedDirectory, mergedTree, treeBelow } from '../tree/merged-directory.ts';
import { isOpaque, isWhiteout } from '../tree/overlay-marks.ts';
import { haveSameData } from '../tree/same-data.ts';

/** A place in the tree: `path` relative to its root, `source` the file itself. */
export interface ChangedFile {
  readonly path: ByteString;
  readonly source: ByteString;
  readonly stats: BigIntStats;
}

export type LayerChange =
  | { readonly kind: 'deleted'; readonly path: ByteString }
  /** New or changed. */
  | ({ readonly kind: 'present' } & ChangedFile)
  /** The same as before, but a name of a file with several names, of which others may have changed. */
  | ({ readonly kind: 'unchanged-link' } & ChangedFile);

/** `parents` are the directories on the way to the change, outermost first, whether changed or not. */
export type ChangeVisitor = (change: LayerChange, parents: readonly ChangedFile[]) => void;

/**
 * Visits what a layer adds, changes and deletes, depth first, names sorted as bytes. A directory comes before what is in
 * it, and counts as changed by its mode and owner only. A deleted or replaced directory is one change. A file
 * that has the same metadata as before, time stamps included, is unchanged; where both stamps are whole seconds (they may
 * have been cut in an archive) the content is compared. The root itself is never a change.
 *
 * An opaque directory of an overlay is compared with what lies below it, so that each name it hides is a deletion: they are
 * the same entries that a double walk of the mounted trees gives. A layer with nothing below it, as the difference of two trees is, may
 * come to lie on anything: all its deletions count.
 */
export function visitLayerChanges(changes: SnapshotChanges, visit: ChangeVisitor): void {
  switch (changes.kind) {
    case 'overlay': {
      const lower =
        changes.lowerDirs.length > 0 ? treeBelow(changes.lowerDirs.map(toByteString)) : 'anything';
      visitOverlay(toByteString(changes.dir), lower, '', [], visit);
      return;
    }
    case 'trees': {
      const lower = changes.lower === undefined ? undefined : mergedTree([toByteString(changes.lower)]);
      visitTrees(lower, mergedTree([toByteString(changes.upper)]), '', [], visit);
      return;
    }
  }
}

/** What a layer's directory lies on. */
type Lower = MergedDirectory | 'nothing' | 'anything';

/** `upper` is the layer's own directory, `lower` the merged one below it. */
function visitOverlay(
  upper: ByteString,
  lower: Lower,
  prefix: ByteString,
  parents: readonly ChangedFile[],
  visit: ChangeVisitor,
): void {
  for (const name of readdirSync(toSystemPath(upper), 'latin1').sort()) {
    const source = `${upper}/${name}`;
    const stats = lstatSync(toSystemPath(source), { bigint: true });
    const file: ChangedFile = { path: prefix + name, source, stats };
    const before = typeof lower === 'string' ? undefined : lower.lookup(name);
    if (isWhiteout(stats)) {
      if (before || lower === 'anything') visit({ kind: 'deleted', path: file.path }, parents);
      continue;
    }
    if (!before || !isSameFile(before.stats, before.path, stats, source)) {
      visit({ kind: 'present', ...file }, parents);
    }
    if (!stats.isDirectory()) continue;
    const below = before?.directory;
    const inside = [...parents, file];
    if (below && isOpaque(toSystemPath(source))) {
      visitTrees(
        below,
        new MergedDirectory('overlay', [{ layer: 0, path: source }]),
        `${file.path}/`,
        inside,
        visit,
      );
    } else
      visitOverlay(
        source,
        below ?? (lower === 'anything' ? lower : 'nothing'),
        `${file.path}/`,
        inside,
        visit,
      );
  }
}

function visitTrees(
  lower: MergedDirectory | undefined,
  upper: MergedDirectory,
  prefix: ByteString,
  parents: readonly ChangedFile[],
  visit: ChangeVisitor,
): void {
  const before = new Map(lower?.entries().map((entry) => [entry.name, entry]));
  const after = new Map(upper.entries().map((entry) => [entry.name, entry]));
  for (const name of [...new Set([...before.keys(), ...after.keys()])].sort()) {
    const [old, now] = [before.get(name), after.get(name)];
    if (!now) {
      visit({ kind: 'deleted', path: prefix + name }, parents);
      continue;
    }
    const file: ChangedFile = { path: prefix + name, source: now.path, stats: now.stats };
    if (!old || !isSameFile(old.stats, old.path, now.stats, now.path)) {
      visit({ kind: 'present', ...file }, parents);
    } else if (now.stats.nlink > 1n && !now.directory) visit({ kind: 'unchanged-link', ...file }, parents);
    if (now.directory) {
      visitTrees(old?.directory, now.directory, `${file.path}/`, [...parents, file], visit);
    }
  }
}

function isSameFile(a: BigIntStats, aPath: ByteString, b: BigIntStats, bPath: ByteString): boolean {
  if (a.dev === b.dev && a.ino === b.ino) return true;
  if (a.mode !== b.mode || a.uid !== b.uid || a.gid !== b.gid || a.rdev !== b.rdev) return false;
  const isDirectory = a.isDirectory();
  if (!isDirectory && (a.size !== b.size || a.mtimeNs !== b.mtimeNs)) return false;
  if (!haveSameXattrs(aPath, bPath)) return false;
  if (isDirectory || a.mtimeNs % 1_000_000_000n !== 0n) return true;
  if (a.isSymbolicLink()) return linkTarget(aPath) === linkTarget(bPath);
  return !a.isFile() || a.size === 0n || haveSameData(aPath, bPath);
}

function haveSameXattrs(a: ByteString, b: ByteString): boolean {
  const [of, other] = [readLayerXattrs(a), readLayerXattrs(b)];
  if (of?.size !== other?.size) return false;
  return of === undefined || [...of].every(([name, value]) => other?.get(name) === value);
}

function linkTarget(path: ByteString): ByteString {
  return readlinkSync(toSystemPath(path), 'latin1');
}
