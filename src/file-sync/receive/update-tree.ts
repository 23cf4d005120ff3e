import { lstatSync, renameSync, rmSync } from 'node:fs';
import { listXattrs, removeXattr } from '../../linux/xattr.ts';
import { isMachineAttribute } from '../../tree/machine-attributes.ts';
import { byteString, displayPath, fsPath } from '../protocol/file-stat.ts';
import type { ManifestEntry } from './manifest.ts';
import type { FileMetadata } from './sync-entry.ts';
import { type TreeDifference, topmost } from './tree-difference.ts';
import { TreeWriter, type TreeWriterOptions } from './tree-writer.ts';

export interface TreeUpdate {
  /** The tree as it was sent last, and what it holds. */
  readonly dir: string;
  readonly last: ReadonlyMap<string, ManifestEntry>;
  readonly difference: TreeDifference;
  /** A directory of the same file system with all that the difference calls changed, whole; it is moved out of there. */
  readonly arrived: string;
  readonly owner: TreeWriterOptions['owner'];
}

/** Changes a tree in place. Nobody may look at it meanwhile, and if it fails, the tree is neither the one nor the other. */
export function updateTree({ dir, last, difference, arrived, owner }: TreeUpdate): void {
  const { changed, gone, directories } = difference;
  const at = (path: string) => fsPath(`${byteString(dir)}/${path}`);
  using writer = new TreeWriter(dir, { owner, existing: true });
  for (const path of topmost(gone)) remove(at(path));
  for (const directory of directories) {
    const before = last.get(directory.path)!.stat;
    if (before.xattrs.size > 0) dropXattrs(at(directory.path), before, directory);
    writer.make(directory);
  }
  for (const path of topmost(changed.map(({ entry }) => entry.path))) {
    const from = fsPath(`${byteString(arrived)}/${path}`);
    const made = lstatSync(from, { throwIfNoEntry: false });
    const there = lstatSync(at(path), { throwIfNoEntry: false });
    if (there && (!made || made.isDirectory() || there.isDirectory())) remove(at(path));
    // Some nodes that are announced are not made.
    if (made) renameSync(from, at(path));
  }
  writer.finish();
}

/** Takes away what the directory was given and has no more. */
function dropXattrs(directory: string | Buffer, before: Attributed, now: Attributed): void {
  const present = new Set(listXattrs(directory));
  for (const bytes of before.xattrs.keys()) {
    const name = displayPath(bytes);
    if (!now.xattrs.has(bytes) && present.has(name) && !isMachineAttribute(name))
      removeXattr(directory, name);
  }
}

type Attributed = Pick<FileMetadata, 'xattrs'>;

function remove(path: string | Buffer): void {
  rmSync(path as string, { recursive: true, force: true });
}
