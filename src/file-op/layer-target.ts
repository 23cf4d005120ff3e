import { chmodSync, lchownSync, lstatSync, mkdirSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { toByteString, toSystemPath } from '../base/text/byte-string.ts';
import { utimens } from '../linux/utimens.ts';
import { getXattr, listXattrs, setXattr } from '../linux/xattr.ts';
import type { FileCopy } from '../llb/op.ts';
import { type MergedDirectory, type MergedEntry, treeBelow } from '../tree/merged-directory.ts';
import { isOverlayMark } from '../tree/overlay-marks.ts';
import { namesOf } from '../tree/resolve-merged.ts';
import { findSources } from './apply-copy.ts';
import type { PreparedAction } from './file-op.ts';
import type { Match } from './find-matches.ts';

/** What a path names in the tree below the layer. */
type Found =
  | { readonly kind: 'absent' }
  | { readonly kind: 'directory'; readonly directory: MergedDirectory }
  /** A file, or a link on the way or at the end: only a mount shows the truth. */
  | { readonly kind: 'other' };

/**
 * A layer that is written without being mounted. An action that only adds to the tree can be applied to the layer's own
 * directory, as if that were the tree, once the directories on the way to what it adds are there as overlayfs would copy
 * them up. Whatever changes, replaces, removes or follows something of the layers below needs a mount.
 */
export class LayerTarget {
  readonly #dir: string;
  readonly #below: MergedDirectory;

  /** `lowerDirs` topmost first, as for overlayfs. */
  constructor(dir: string, lowerDirs: readonly string[]) {
    this.#dir = dir;
    this.#below = treeBelow(lowerDirs.map(toByteString));
  }

  /** Makes the layer ready for `action`. `mount`: the action cannot be applied without one; nothing was changed. */
  prepare(action: PreparedAction): 'apply' | 'nothing-to-do' | 'mount' {
    const { change } = action;
    switch (change.kind) {
      case 'mkdir': {
        const found = this.#find(change.path);
        if (found.kind === 'directory') return this.#isInLayer(change.path) ? 'apply' : 'nothing-to-do';
        return found.kind === 'absent' ? this.#ready(change.path) : 'mount';
      }
      case 'mkfile':
        return this.#find(change.path).kind === 'absent' ? this.#ready(change.path) : 'mount';
      case 'symlink':
        return this.#find(change.newPath).kind === 'absent' ? this.#ready(change.newPath) : 'mount';
      case 'copy':
        return this.#addsOnly(change, action) ? this.#ready(change.dest) : 'mount';
      case 'rm':
        return 'mount';
    }
  }

  /** Nothing that the copy writes is there already in the layers below, directories at its destination apart. */
  #addsOnly(copy: FileCopy, { source }: PreparedAction): boolean {
    if (copy.unpackArchive || !source) return false;
    const found = this.#find(copy.dest);
    if (found.kind !== 'directory') return found.kind === 'absent';
    return sourcesOf(copy, source.path).every(({ file, name }) => {
      const contents = copy.dirCopyContents && lstatSync(toSystemPath(file)).isDirectory();
      const names = contents
        ? readdirSync(toSystemPath(file), 'latin1')
        : [name.slice(name.lastIndexOf('/') + 1)];
      return names.every((each) => each !== '' && !found.directory.lookup(each));
    });
  }

  #find(name: string): Found {
    let directory = this.#below;
    for (const part of namesOf(name)) {
      if (part === '..') return { kind: 'other' };
      const entry = directory.lookup(toByteString(part));
      if (!entry) return this.#leadsAway(name) ? { kind: 'other' } : { kind: 'absent' };
      if (!entry.directory) return { kind: 'other' };
      directory = entry.directory;
    }
    return { kind: 'directory', directory };
  }

  /** Whether an earlier action put something on the way into the layer that is no directory, or a link in its place. */
  #leadsAway(name: string): boolean {
    const parts = namesOf(name);
    let at = this.#dir;
    for (const [index, part] of parts.entries()) {
      at = path.join(at, part);
      const stats = lstatSync(at, { throwIfNoEntry: false });
      if (!stats) return false;
      if (index < parts.length - 1 ? !stats.isDirectory() : stats.isSymbolicLink()) return true;
    }
    return false;
  }

  #isInLayer(name: string): boolean {
    return lstatSync(path.join(this.#dir, ...namesOf(name)), { throwIfNoEntry: false }) !== undefined;
  }

  /** Copies up the directories of the layers below that lie on the way to `name`. */
  #ready(name: string): 'apply' {
    let directory = this.#below;
    let at = this.#dir;
    const made: { readonly at: string; readonly entry: MergedEntry }[] = [];
    for (const part of namesOf(name)) {
      const entry = directory.lookup(toByteString(part));
      if (!entry?.directory) break;
      directory = entry.directory;
      at = path.join(at, part);
      if (lstatSync(at, { throwIfNoEntry: false })) continue;
      copyUp(entry, at);
      made.push({ at, entry });
    }
    // Making a directory changes the time of the one it is in.
    for (const { at: dir, entry } of made.reverse()) utimens(dir, entry.stats.atimeNs, entry.stats.mtimeNs);
    return 'apply';
  }
}

function copyUp({ path: from, stats }: MergedEntry, to: string): void {
  mkdirSync(to);
  lchownSync(to, Number(stats.uid), Number(stats.gid));
  chmodSync(to, Number(stats.mode & 0o7777n));
  for (const name of listXattrs(toSystemPath(from))) {
    const value = isOverlayMark(name) ? undefined : getXattr(toSystemPath(from), name);
    if (value) setXattr(to, name, value);
  }
}

/** None when there is something wrong with them, which applying the copy will say. */
function sourcesOf(copy: FileCopy, root: string): Match[] {
  try {
    return findSources(root, copy);
  } catch {
    return [];
  }
}
