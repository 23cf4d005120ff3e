import { lstatSync, readdirSync } from 'node:fs';
import { type BytePath, pathBuffer } from './byte-path.ts';
import { copyTimes, EntryCopier } from './entry-copier.ts';
import { lookUp, readLayeredDir } from './layered-tree.ts';
import { isOpaque, isWhiteout, makeWhiteout } from './overlay-marks.ts';

/**
 * A layer that lies on another tree than the one it was made on. Both lists are topmost first.
 *
 * Its marks mean something else there: overlayfs lists a whiteout that hides nothing as a name which cannot be opened, when no
 * lower layer has the directory it is in; and an opaque directory also hides what it never replaced.
 */
export interface MovedLayer {
  readonly layer: BytePath;
  readonly madeOn: readonly BytePath[];
  readonly lowers: readonly BytePath[];
}

/** Whether the layer would not do there what it did where it was made. */
export function needsAdapting({ layer, madeOn, lowers }: MovedLayer): boolean {
  for (const { name, isDirectory } of readKinds(layer)) {
    const path = `${layer}/${name}`;
    if (!isDirectory) {
      if (lookUp(lowers, name) === undefined && isWhiteoutAt(path)) return true;
      continue;
    }
    const inside = { layer: path, madeOn: dirsIn(madeOn, name), lowers: dirsIn(lowers, name) };
    if (isOpaque(path)) {
      if (inside.lowers.length > 0 && !areEqual(inside.lowers, inside.madeOn)) return true;
    } else if (needsAdapting(inside)) return true;
  }
  return false;
}

/**
 * Makes `target` what the layer is, by hard links, without the whiteouts that hide nothing, and with whiteouts for what an opaque
 * directory replaced instead of its mark.
 */
export function adaptLayer(moved: MovedLayer, target: BytePath): void {
  const copier = new EntryCopier('link');
  const copyDir = ({ layer, madeOn, lowers }: MovedLayer, replaces: boolean, to: BytePath): void => {
    const stats = lstatSync(pathBuffer(layer), { bigint: true });
    copier.copyDirectory(layer, stats, to);
    const own = new Set<BytePath>();
    for (const { name } of readKinds(layer)) {
      own.add(name);
      const path = `${layer}/${name}`;
      const child = lstatSync(pathBuffer(path), { bigint: true });
      if (child.isDirectory()) {
        const inside = { layer: path, madeOn: dirsIn(madeOn, name), lowers: dirsIn(lowers, name) };
        copyDir(inside, replaces || isOpaque(path), `${to}/${name}`);
      } else if (!isWhiteout(child)) copier.copy(path, child, `${to}/${name}`);
      else if (lookUp(lowers, name)) makeWhiteout(`${to}/${name}`);
    }
    if (replaces) {
      for (const { name } of readLayeredDir(madeOn)) {
        if (!own.has(name) && lookUp(lowers, name)) makeWhiteout(`${to}/${name}`);
      }
    }
    copyTimes(stats, to);
  };
  copyDir(moved, false, target);
}

/** Whether a layer directory holds any whiteout or opaque directory. */
export function hasMarks(layer: BytePath): boolean {
  return readKinds(layer).some(({ name, isDirectory, isCharacterDevice }) => {
    const path = `${layer}/${name}`;
    return isDirectory ? isOpaque(path) || hasMarks(path) : isCharacterDevice && isWhiteoutAt(path);
  });
}

function dirsIn(layers: readonly BytePath[], name: BytePath): readonly BytePath[] {
  return layers.length === 0 ? layers : (lookUp(layers, name)?.dirs ?? []);
}

function areEqual(a: readonly BytePath[], b: readonly BytePath[]): boolean {
  return a.length === b.length && a.every((dir, index) => dir === b[index]);
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
