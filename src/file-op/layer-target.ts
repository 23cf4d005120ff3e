import { type ByteString, toByteString } from '../base/text/byte-string.ts';
import type { FileCopy } from '../llb/op.ts';
import { DirectoryTree } from '../tree/directory-tree.ts';
import { type MergedDirectory, type MergedEntry, treeBelow } from '../tree/merged-directory.ts';
import { namesOf } from '../tree/resolve-merged.ts';
import { pathIn, type Tree } from '../tree/tree.ts';
import type { LayerMaker } from '../tree/tree-maker.ts';
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
  readonly #layer: LayerMaker;
  readonly #below: MergedDirectory;

  /** `lowerDirs` topmost first, as for overlayfs. */
  constructor(layer: LayerMaker, lowerDirs: readonly string[]) {
    this.#layer = layer;
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
    const from = new DirectoryTree(toByteString(source.path));
    return sourcesOf(copy, from).every(({ file, name }) => {
      const contents = copy.dirCopyContents && from.lookup(file)?.kind === 'directory';
      const names = contents ? from.names(file) : [name.slice(name.lastIndexOf('/') + 1)];
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
    const parts = namesOf(toByteString(name));
    let at = '';
    for (const [index, part] of parts.entries()) {
      at = pathIn(at, part);
      const found = this.#layer.lookup(at);
      if (!found) return false;
      if (index < parts.length - 1 ? found.kind !== 'directory' : found.kind === 'symlink') return true;
    }
    return false;
  }

  #isInLayer(name: string): boolean {
    return this.#layer.lookup(namesOf(toByteString(name)).join('/')) !== undefined;
  }

  /** Copies up the directories of the layers below that lie on the way to `name`. */
  #ready(name: string): 'apply' {
    let directory = this.#below;
    let at = '';
    const made: { readonly at: ByteString; readonly entry: MergedEntry }[] = [];
    for (const part of namesOf(toByteString(name))) {
      const entry = directory.lookup(part);
      if (!entry?.directory) break;
      directory = entry.directory;
      at = pathIn(at, part);
      if (this.#layer.lookup(at)) continue;
      this.#layer.copyUp(at, entry);
      made.push({ at, entry });
    }
    // Making a directory changes the time of the one it is in.
    for (const { at: dir, entry } of made.reverse()) {
      const { atimeNs: access, mtimeNs: modification } = entry.stats;
      this.#layer.setMetadata(dir, { times: { access, modification } });
    }
    return 'apply';
  }
}

/** What a copy copies. None when there is something wrong with them, which applying the copy will say. */
export function sourcesOf(copy: FileCopy, source: Tree): Match[] {
  try {
    return findSources(source, copy);
  } catch {
    return [];
  }
}
