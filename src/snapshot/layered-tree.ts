import { type BigIntStats, lstatSync, readdirSync } from 'node:fs';
import { errnoOf } from '../base/errors.ts';
import { type BytePath, pathBuffer } from './byte-path.ts';
import { isOpaque, isWhiteout } from './overlay-marks.ts';

/** What one name shows in a tree made of layers. */
export interface LayeredEntry {
  readonly name: BytePath;
  /** The topmost layer's file: the one that is seen. */
  readonly path: BytePath;
  readonly stats: BigIntStats;
  /** For a directory: where its entries come from, topmost first. */
  readonly dirs?: readonly BytePath[];
}

/** The root of the tree that `dirs` (topmost first, at least one) show as an overlay, read without mounting it. */
export function layeredRoot(dirs: readonly BytePath[]): LayeredEntry {
  return { name: '', path: dirs[0]!, stats: lstatSync(pathBuffer(dirs[0]!), { bigint: true }), dirs };
}

/** What overlayfs would list for a directory whose layers are `dirs`, topmost first; in the order of the names' bytes. */
export function readLayeredDir(dirs: readonly BytePath[]): LayeredEntry[] {
  if (dirs.length === 1) return readNames(dirs[0]!).flatMap((name) => lookUp(dirs, name) ?? []);
  const seen = new Set<BytePath>();
  const entries: LayeredEntry[] = [];
  for (const [index, dir] of dirs.entries()) {
    for (const name of readNames(dir)) {
      if (seen.has(name)) continue;
      seen.add(name);
      const entry = lookUp(dirs.slice(index), name);
      if (entry) entries.push(entry);
    }
  }
  return entries.sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** What overlayfs would find for `name` in a directory whose layers are `dirs`, topmost first. */
export function lookUp(dirs: readonly BytePath[], name: BytePath): LayeredEntry | undefined {
  let found: { path: BytePath; stats: BigIntStats; dirs: BytePath[] } | undefined;
  for (const dir of dirs) {
    const path = `${dir}/${name}`;
    const stats = lstat(path);
    if (!stats) continue;
    if (!stats.isDirectory()) {
      if (found || isWhiteout(stats)) break;
      return { name, path, stats };
    }
    if (found) found.dirs.push(path);
    else found = { path, stats, dirs: [path] };
    if (dirs.length > 1 && isOpaque(path)) break;
  }
  return found && { name, ...found };
}

function readNames(dir: BytePath): BytePath[] {
  return readdirSync(pathBuffer(dir), { encoding: 'latin1' }).sort();
}

function lstat(path: BytePath): BigIntStats | undefined {
  try {
    return lstatSync(pathBuffer(path), { bigint: true, throwIfNoEntry: false });
  } catch (error) {
    if (errnoOf(error) === 'ENOTDIR') return undefined;
    throw error;
  }
}
