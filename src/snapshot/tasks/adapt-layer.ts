import { lstatSync, readdirSync, rmdirSync } from 'node:fs';
import { type ByteString, toSystemPath } from '../../base/text/byte-string.ts';
import { copyTimes } from '../../tree/copy-entry.ts';
import { EntryCopier } from '../../tree/entry-copier.ts';
import { type MergedDirectory, type MergedEntry, treeBelow } from '../../tree/merged-directory.ts';
import { isOpaque, isWhiteout, makeWhiteout } from '../../tree/overlay-marks.ts';
import { sameEntry } from '../../tree/same-entry.ts';

/**
 * A layer that lies on another tree than the one it was made on.
 *
 * It must not do more there than it did: overlayfs lists a whiteout that hides nothing as a name which cannot be opened, when no
 * lower layer has the directory it is in; an opaque directory also hides what it never replaced; and what was only copied
 * up, without a change, would be put over something else.
 */
export interface MovedLayer {
  readonly layer: ByteString;
  readonly madeOn: MergedDirectory;
  readonly lowers: MergedDirectory;
}

/** Whether the layer would not do there what it did where it was made. */
export function needsAdapting({ layer, madeOn, lowers }: MovedLayer): boolean {
  for (const { name, isDirectory } of readKinds(layer)) {
    const path = `${layer}/${name}`;
    const before = madeOn.lookup(name);
    if (!isDirectory) {
      if (isWhiteoutAt(path) ? lowers.lookup(name) === undefined : isUnchanged(before, path)) return true;
      continue;
    }
    const inside = { layer: path, ...directoriesIn(before, lowers.lookup(name)) };
    if (isOpaque(toSystemPath(path))) {
      if (!inside.lowers.isAbsent && !inside.lowers.hasPartsOf(inside.madeOn)) return true;
    } else if (needsAdapting(inside)) return true;
    if (isUnchanged(before, path) && readKinds(path).length === 0) return true;
  }
  return false;
}

/**
 * Writes to `target` what the layer changed. Whiteouts that hide nothing are left out, and so is what was only copied up. In the place of an opaque mark
 * there are whiteouts for what the directory replaced.
 */
export function adaptLayer(moved: MovedLayer, target: ByteString): void {
  const copier = new EntryCopier();
  /** Returns whether the layer changed the directory or anything in it. Deletions count, too. */
  const copyDir = ({ layer, madeOn, lowers }: MovedLayer, replaces: boolean, to: ByteString): boolean => {
    const stats = lstatSync(toSystemPath(layer), { bigint: true });
    copier.copyDirectory(layer, stats, to);
    const own = new Set<ByteString>();
    let filled = false;
    for (const { name } of readKinds(layer)) {
      own.add(name);
      const path = `${layer}/${name}`;
      const child = lstatSync(toSystemPath(path), { bigint: true });
      const before = madeOn.lookup(name);
      if (child.isDirectory()) {
        const inside = { layer: path, ...directoriesIn(before, lowers.lookup(name)) };
        const needed = copyDir(inside, replaces || isOpaque(toSystemPath(path)), `${to}/${name}`);
        if (needed || !isUnchanged(before, path)) filled = true;
        else rmdirSync(toSystemPath(`${to}/${name}`));
      } else if (isWhiteout(child)) {
        if (lowers.lookup(name)) makeWhiteout(toSystemPath(`${to}/${name}`));
        filled = true;
      } else if (!isUnchanged(before, path)) {
        copier.copy(path, child, `${to}/${name}`);
        filled = true;
      }
    }
    if (replaces) {
      for (const { name } of madeOn.entries()) {
        if (own.has(name)) continue;
        if (lowers.lookup(name)) makeWhiteout(toSystemPath(`${to}/${name}`));
        filled = true;
      }
    }
    copyTimes(stats, to);
    return filled;
  };
  copyDir(moved, false, target);
}

/** Whether a layer directory holds any whiteout or opaque directory. */
export function hasMarks(layer: ByteString): boolean {
  return readKinds(layer).some(({ name, isDirectory, isCharacterDevice }) => {
    const path = `${layer}/${name}`;
    return isDirectory
      ? isOpaque(toSystemPath(path)) || hasMarks(path)
      : isCharacterDevice && isWhiteoutAt(path);
  });
}

const nothing = treeBelow([]);

function directoriesIn(
  madeOn: MergedEntry | undefined,
  lowers: MergedEntry | undefined,
): Pick<MovedLayer, 'madeOn' | 'lowers'> {
  return { madeOn: madeOn?.directory ?? nothing, lowers: lowers?.directory ?? nothing };
}

/** Whether it is what was there before, copied up. */
function isUnchanged(before: MergedEntry | undefined, path: ByteString): boolean {
  return (
    before !== undefined &&
    sameEntry(before, { path, stats: lstatSync(toSystemPath(path), { bigint: true }) })
  );
}

function isWhiteoutAt(path: ByteString): boolean {
  return isWhiteout(lstatSync(toSystemPath(path), { bigint: true }));
}

/** The kinds come with the names: no look at each file. */
function readKinds(dir: ByteString) {
  return readdirSync(toSystemPath(dir), { encoding: 'latin1', withFileTypes: true }).map((entry) => ({
    name: entry.name,
    isDirectory: entry.isDirectory(),
    isCharacterDevice: entry.isCharacterDevice(),
  }));
}
