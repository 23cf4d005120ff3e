import { lstatSync, readdirSync } from 'node:fs';
import { type BytePath, pathBuffer } from './byte-path.ts';
import { copyTimes, EntryCopier } from './entry-copier.ts';
import { lookUp } from './layered-tree.ts';
import { isOpaque, isWhiteout, makeOpaque, makeWhiteout } from './overlay-marks.ts';

/**
 * Overlayfs lists a whiteout that hides nothing as a name which cannot be opened, when no lower layer has the directory it is in.
 * That happens only when a layer lies on another tree than the one it was made on.
 */
export function hasUselessWhiteouts(layer: BytePath, lowers: readonly BytePath[]): boolean {
  for (const { name, isDirectory } of readKinds(layer)) {
    const path = `${layer}/${name}`;
    if (isDirectory) {
      if (hasUselessWhiteouts(path, lowersOf(path, lowers, name))) return true;
    } else if (lookUp(lowers, name) === undefined && isWhiteoutAt(path)) return true;
  }
  return false;
}

/** Makes `target` what `layer` is, by hard links, but without the whiteouts that hide nothing in `lowers` (topmost first). */
export function trimWhiteouts(layer: BytePath, lowers: readonly BytePath[], target: BytePath): void {
  const copier = new EntryCopier('link');
  const copyDir = (from: BytePath, below: readonly BytePath[], to: BytePath): void => {
    const stats = lstatSync(pathBuffer(from), { bigint: true });
    copier.copyDirectory(from, stats, to);
    if (isOpaque(from)) makeOpaque(to);
    for (const { name } of readKinds(from)) {
      const path = `${from}/${name}`;
      const child = lstatSync(pathBuffer(path), { bigint: true });
      if (child.isDirectory()) copyDir(path, lowersOf(path, below, name), `${to}/${name}`);
      else if (!isWhiteout(child)) copier.copy(path, child, `${to}/${name}`);
      else if (lookUp(below, name)) makeWhiteout(`${to}/${name}`);
    }
    copyTimes(stats, to);
  };
  copyDir(layer, lowers, target);
}

/** Whether a layer directory holds any whiteout. */
export function hasWhiteouts(layer: BytePath): boolean {
  return readKinds(layer).some(({ name, isDirectory, isCharacterDevice }) =>
    isDirectory ? hasWhiteouts(`${layer}/${name}`) : isCharacterDevice && isWhiteoutAt(`${layer}/${name}`),
  );
}

function lowersOf(dir: BytePath, lowers: readonly BytePath[], name: BytePath): readonly BytePath[] {
  if (lowers.length === 0) return lowers;
  return isOpaque(dir) ? [] : (lookUp(lowers, name)?.dirs ?? []);
}

function isWhiteoutAt(path: BytePath): boolean {
  return isWhiteout(lstatSync(pathBuffer(path), { bigint: true }));
}

/** The kinds come with the names: no look at each file. */
function readKinds(dir: BytePath) {
  return readdirSync(pathBuffer(dir), { encoding: 'latin1', withFileTypes: true }).map((entry) => ({
    name: entry.name,
    isDirectory: entry.isDirectory(),
    isCharacterDevice: entry.isCharacterDevice(),
  }));
}
