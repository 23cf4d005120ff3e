import { parentOf } from '../../tree/tree.ts';
import type { FileStat } from '../protocol/file-stat.ts';
import { hasData, kindOfGoMode } from '../protocol/go-mode.ts';
import type { EntryOf, SyncEntry } from './sync-entry.ts';
import { isSameFile, type ManifestEntry } from './tree-manifest.ts';

/** One announced file. `id` is its number among all stats; `stat` is what was said of it, `entry` what it is. */
export interface Announced {
  readonly id: number;
  readonly stat: FileStat;
  readonly entry: SyncEntry;
}

/** What makes the tree that was announced out of the last one. Everything is in the order of a walk. */
export interface TreeDifference {
  /**
   * What has to be made anew: what is new, has changed, or is another kind of file than before. All names of a file with several
   * are in here, or none: what stays has the names it had.
   */
  readonly changed: readonly Announced[];
  /** Paths that are no more. */
  readonly gone: readonly string[];
  /** Directories that stay and do not have the metadata they should have, once the rest is done. */
  readonly directories: readonly EntryOf<'directory'>[];
  /** Whether all is as it was; the times of directories alone, which nothing counts by, make no difference. */
  readonly isEmpty: boolean;
  /** Bytes, roughly, of what stays and of what goes. */
  readonly kept: number;
  readonly dropped: number;
}

/** What an entry takes beside its data. */
const entryBytes = 4096;

export function treeDifference(
  last: ReadonlyMap<string, ManifestEntry>,
  announced: readonly Announced[],
): TreeDifference {
  const moved = filesWithOtherNames(last, announced);
  const present = new Set<string>();
  const changed: Announced[] = [];
  const changedPaths = new Set<string>();
  const touched = new Set<string>();
  const staying: { readonly entry: EntryOf<'directory'>; readonly differs: boolean }[] = [];
  let kept = 0;
  let differs = false;
  for (const each of announced) {
    const { entry, stat } = each;
    const { path } = entry;
    present.add(path);
    const before = last.get(path)?.stat;
    const same = before !== undefined && isSameFile(before, stat);
    if (entry.kind === 'directory' && before && isDirectory(before)) {
      differs ||= !same;
      staying.push({ entry, differs: !same || before.mtime !== stat.mtime });
      continue;
    }
    const stays = entry.kind === 'hard-link' ? !changedPaths.has(entry.target) : same && !moved.has(path);
    if (stays) {
      kept += sizeOf(stat);
      continue;
    }
    changed.push(each);
    changedPaths.add(path);
    touched.add(parentOf(path));
  }
  const gone: string[] = [];
  let dropped = 0;
  for (const [path, { stat }] of last) {
    if (present.has(path)) continue;
    gone.push(path);
    dropped += sizeOf(stat);
    touched.add(parentOf(path));
  }
  return {
    changed,
    gone,
    directories: staying
      .filter((directory) => directory.differs || touched.has(directory.entry.path))
      .map(({ entry }) => entry),
    isEmpty: !differs && changed.length === 0 && gone.length === 0,
    kept,
    dropped,
  };
}

/** Those of a walk's paths that do not lie in another of them. */
export function* topmost(paths: Iterable<string>): Generator<string> {
  let above: string | undefined;
  for (const path of paths) {
    if (above !== undefined && path.startsWith(above)) continue;
    yield path;
    above = `${path}/`;
  }
}

/** Files that are known by their first name and have other names now than before, or one of whose names is said to have changed alone. */
function filesWithOtherNames(
  last: ReadonlyMap<string, ManifestEntry>,
  announced: readonly Announced[],
): ReadonlySet<string> {
  const namesBefore = new Map<string, string[]>();
  for (const { stat } of last.values()) {
    if (hasData(stat.mode) && stat.linkname !== '') addTo(namesBefore, stat.linkname, stat.path);
  }
  const names = new Map<string, string[]>();
  const moved = new Set<string>();
  for (const { entry, stat } of announced) {
    if (entry.kind !== 'hard-link') continue;
    addTo(names, entry.target, entry.path);
    const before = last.get(entry.path)?.stat;
    if (!before || !isSameFile(before, stat)) moved.add(entry.target);
  }
  for (const file of new Set([...namesBefore.keys(), ...names.keys()])) {
    if (namesBefore.get(file)?.join('\0') !== names.get(file)?.join('\0')) moved.add(file);
  }
  return moved;
}

function addTo(names: Map<string, string[]>, file: string, name: string): void {
  const known = names.get(file);
  if (known) known.push(name);
  else names.set(file, [name]);
}

function isDirectory({ mode }: FileStat): boolean {
  return kindOfGoMode(mode) === 'directory';
}

function sizeOf({ mode, linkname, size }: FileStat): number {
  return entryBytes + (hasData(mode) && linkname === '' ? size : 0);
}
