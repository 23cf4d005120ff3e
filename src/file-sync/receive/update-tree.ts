import { lstatSync, renameSync } from 'node:fs';
import { type ByteString, fromByteString, toSystemPath } from '../../base/text/byte-string.ts';
import { listXattrs, removeXattr } from '../../linux/xattr.ts';
import { DirectoryTreeMaker } from '../../tree/directory-tree-maker.ts';
import { isMachineAttribute } from '../../tree/machine-attributes.ts';
import type { FileMetadata } from './sync-entry.ts';
import { type TreeDifference, topmost } from './tree-difference.ts';
import type { ManifestEntry } from './tree-manifest.ts';
import { type Owner, TreeWriter } from './tree-writer.ts';

export interface TreeUpdate {
  /** The tree as it was sent last, a directory of this machine, and what it holds. */
  readonly dir: ByteString;
  readonly last: ReadonlyMap<string, ManifestEntry>;
  readonly difference: TreeDifference;
  /** A directory of the same file system with all that the difference calls changed, whole; it is moved out of there. */
  readonly arrived: ByteString;
  readonly owner: Owner | undefined;
  /** A file that nobody announced, to be made in the tree. */
  readonly ownFile: { readonly path: ByteString; readonly data: Uint8Array } | undefined;
}

/** Changes a tree in place. Nobody may look at it meanwhile, and if it fails, the tree is neither the one nor the other. */
export function updateTree({ dir, last, difference, arrived, owner, ownFile }: TreeUpdate): void {
  const { changed, gone, directories } = difference;
  const at = (path: ByteString) => toSystemPath(`${dir}/${path}`);
  const tree = new DirectoryTreeMaker(dir, { existing: 'replace', refusedXattrs: 'leave-out' });
  using writer = new TreeWriter(tree, owner);
  for (const path of topmost(gone)) tree.remove(path);
  for (const directory of directories) {
    const before = last.get(directory.path)!.stat;
    if (before.xattrs.size > 0) dropXattrs(at(directory.path), before, directory);
    writer.make(directory);
  }
  for (const path of topmost(changed.map(({ entry }) => entry.path))) {
    const from = toSystemPath(`${arrived}/${path}`);
    const made = lstatSync(from, { throwIfNoEntry: false });
    const there = tree.lookup(path);
    if (there && (!made || made.isDirectory() || there.kind === 'directory')) tree.remove(path);
    // Some nodes that are announced are not made.
    if (made) renameSync(from, at(path));
  }
  if (ownFile) writer.addFile(ownFile.path, ownFile.data);
  writer.finish();
}

/** Takes away what the directory was given and has no more. */
function dropXattrs(directory: string | Buffer, before: Attributed, now: Attributed): void {
  const present = new Set(listXattrs(directory));
  for (const bytes of before.xattrs.keys()) {
    const name = fromByteString(bytes);
    if (!now.xattrs.has(bytes) && present.has(name) && !isMachineAttribute(name))
      removeXattr(directory, name);
  }
}

type Attributed = Pick<FileMetadata, 'xattrs'>;
