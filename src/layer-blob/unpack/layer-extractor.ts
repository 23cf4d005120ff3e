import { errnoOf, KilnError } from '../../base/errors.ts';
import { type ByteString, fromByteString } from '../../base/text/byte-string.ts';
import { namesOf } from '../../tree/resolve-merged.ts';
import { pathIn } from '../../tree/tree.ts';
import type { EntryMetadata, GrowingFile, LayerMaker, TreeMaker } from '../../tree/tree-maker.ts';
import type { TarEntry } from '../tar/tar-entry.ts';
import type { TarHandler } from '../tar/tar-handler.ts';
import { isWhiteoutEntry, opaqueWhiteout, whiteoutPrefix } from '../whiteout-format.ts';
import type { Deletions } from './deletions.ts';
import { OverlayDeletions } from './overlay-deletions.ts';
import { ParentDirectories } from './parent-directories.ts';
import { PathTree } from './path-tree.ts';
import { TreeDeletions } from './tree-deletions.ts';
import type { ImpliedDirectory, UnsettledLayer } from './unsettled-layer.ts';

/** Names with this prefix are aufs's bookkeeping, but for the opaque mark. */
const aufsPrefix = '.wh..wh.';

/**
 * What is unpacked, and where.
 *
 * - `tree`: a layer, into a tree that holds the layers below; deletions are carried out there, except on what the layer itself brought.
 * - `overlay`: a layer, into a layer of an overlay; deletions become marks. What the layers below have to say is left for `settleLayer`.
 * - `archive`: no layer, into a directory of a tree; no name in it stands for a deletion.
 */
export type Extraction =
  | { readonly form: 'tree'; readonly tree: TreeMaker }
  | { readonly form: 'overlay'; readonly tree: LayerMaker }
  | { readonly form: 'archive'; readonly tree: TreeMaker; readonly directory: ByteString };

/**
 * Applies the entries of a layer to a tree that nobody else writes to (OCI image layer specification, "Applying Changesets").
 *
 * Names are resolved inside the root of the tree, or the directory of the archive: `..` stops there, symbolic links on the way are followed as if it were
 * the root, the last name is never followed. What was there is removed first, but a directory keeps its content when another takes its place.
 * Synchronous: for threads.
 */
export class LayerExtractor implements TarHandler {
  readonly #tree: TreeMaker;
  readonly #what: 'archive' | 'layer';
  readonly #deletions: Deletions | undefined;
  readonly #parents: ParentDirectories;
  readonly #times = new PathTree<bigint>();
  readonly #implied = new PathTree<ImpliedDirectory>();
  #file: { readonly growing: GrowingFile; readonly entry: TarEntry } | undefined;

  constructor(extraction: Extraction) {
    const { tree } = extraction;
    const remove = (path: ByteString) => this.#remove(path);
    this.#tree = tree;
    this.#what = extraction.form === 'archive' ? 'archive' : 'layer';
    this.#deletions = deletionsOf(extraction, remove);
    this.#parents = new ParentDirectories({
      tree,
      root: extraction.form === 'archive' ? extraction.directory : '',
      what: this.#what,
      deletions: this.#deletions,
      remove,
      implied: (path) => this.#implied.set(path, {}),
    });
  }

  entry(entry: TarEntry): void {
    const names = splitPath(entry.name);
    const name = names.pop();
    if (name === undefined) return;
    try {
      const parent = this.#parents.resolve(names);
      if (this.#deletions && this.#isMark(parent, name, entry, this.#deletions)) return;
      const path = pathIn(parent, name);
      this.#deletions?.brought(path);
      this.#create(path, entry);
    } catch (error) {
      throw this.#failure(error, entry);
    }
  }

  /** Whether the entry is no file but says something of the layers below, which then is done. */
  #isMark(parent: ByteString, name: ByteString, entry: TarEntry, deletions: Deletions): boolean {
    if (name === opaqueWhiteout) deletions.hideAll(parent);
    else if (name.startsWith(aufsPrefix)) return true;
    else if (name.startsWith(whiteoutPrefix)) {
      const hidden = name.slice(whiteoutPrefix.length);
      if (hidden === '' || hidden === '.' || hidden === '..') {
        throw new KilnError(
          'invalid_argument',
          `${this.#what} entry ${show(entry.name)} is a whiteout of nothing`,
        );
      }
      deletions.hide(pathIn(parent, hidden));
    } else if (isWhiteoutEntry(entry)) {
      this.#remove(pathIn(parent, name));
      deletions.hide(pathIn(parent, name));
    } else return false;
    return true;
  }

  data(chunk: Uint8Array): void {
    // Entries that make no file may have data, too: a deletion, or something named like the root.
    this.#grow((file) => file.write(chunk));
  }

  hole(size: number): void {
    this.#grow((file) => file.hole(size));
  }

  entryEnd(): void {
    this.#grow((file) => {
      this.#file = undefined;
      file.finish();
    });
  }

  /** Call after the last entry. Returns what is to be settled when the layers below are there; without anything, the layer is complete. */
  finish(): UnsettledLayer | undefined {
    const implied = [...this.#implied.entries()];
    const whiteouts = this.#deletions instanceof OverlayDeletions ? [...this.#deletions.whiteouts] : [];
    if (implied.length > 0 || whiteouts.length > 0) {
      return { implied, whiteouts, times: [...this.#times.entries()] };
    }
    for (const [path, mtime] of this.#times.entries()) {
      this.#tree.setMetadata(path, { times: { access: mtime, modification: mtime } });
    }
    return undefined;
  }

  #grow(step: (file: GrowingFile) => void): void {
    const file = this.#file;
    if (!file) return;
    try {
      step(file.growing);
    } catch (error) {
      throw this.#failure(error, file.entry);
    }
  }

  #create(path: ByteString, entry: TarEntry): void {
    const tree = this.#tree;
    const metadata = metadataOf(entry);
    switch (entry.type) {
      case 'directory':
        this.#createDirectory(path, metadata);
        this.#times.set(path, entry.mtime);
        return;
      case 'file':
        this.#file = { growing: this.#replacing(path, () => tree.addFile(path, metadata)), entry };
        return;
      case 'hardlink': {
        const target = this.#linkTarget(entry);
        if (target === path) return;
        if (target.startsWith(`${path}/`)) {
          throw this.#impossibleLink(entry, 'which lies in the directory that it would replace');
        }
        this.#replacing(path, () => tree.add(path, { kind: 'hard-link', target }));
        tree.setMetadata(path, metadata);
        return;
      }
      case 'symlink':
        this.#replacing(path, () => tree.add(path, { kind: 'symlink', metadata, target: entry.linkName }));
        return;
      case 'character-device':
      case 'block-device': {
        const { type: kind, deviceMajor: major, deviceMinor: minor } = entry;
        this.#replacing(path, () => tree.add(path, { kind, metadata, major, minor }));
        return;
      }
      case 'fifo':
        this.#replacing(path, () => tree.add(path, { kind: 'fifo', metadata }));
        return;
    }
  }

  #createDirectory(path: ByteString, metadata: EntryMetadata): void {
    const found = this.#tree.lookup(path);
    if (found?.kind === 'directory') {
      this.#tree.setMetadata(path, metadata);
      this.#describe(path, metadata);
      return;
    }
    if (found) this.#remove(path);
    this.#tree.add(path, { kind: 'directory', metadata });
    if (found && this.#deletions?.isDeletion(found)) this.#deletions.undeleted(path);
  }

  /** Notes what the layer says of a directory that it had something in before. */
  #describe(path: ByteString, metadata: EntryMetadata): void {
    const implied = this.#implied.get(path);
    if (!implied) return;
    const xattrs = new Map([...(implied.metadata?.xattrs ?? []), ...(metadata.xattrs ?? [])]);
    this.#implied.set(path, { metadata: { ...metadata, xattrs } });
  }

  /** Runs `create`, after removing what has its name. */
  #replacing<T>(path: ByteString, create: () => T): T {
    try {
      return create();
    } catch (error) {
      if (errnoOf(error) !== 'EEXIST') throw error;
      this.#remove(path);
      return create();
    }
  }

  #remove(path: ByteString): void {
    const found = this.#tree.lookup(path);
    if (!found) return;
    this.#tree.remove(path);
    // Only these can be on the way to something.
    if (found.kind !== 'directory' && found.kind !== 'symlink') return;
    this.#parents.forget();
    this.#times.delete(path);
    this.#implied.delete(path);
  }

  /** A hard link's target: an entry that came before it. Its last name is not followed. */
  #linkTarget(entry: TarEntry): ByteString {
    const names = splitPath(entry.linkName);
    const name = names.pop();
    const target = name === undefined ? undefined : pathIn(this.#parents.resolve(names), name);
    const found = target === undefined ? undefined : this.#tree.lookup(target);
    const isThere = found !== undefined && !this.#deletions?.isDeletion(found);
    if (target === undefined || !isThere || found.kind === 'directory') {
      throw this.#impossibleLink(entry, `which is ${isThere ? 'a directory' : 'not there'}`);
    }
    return target;
  }

  #impossibleLink({ name, linkName }: TarEntry, why: string): KilnError {
    return new KilnError(
      'invalid_argument',
      `${this.#what} entry ${show(name)} is a hard link to ${show(linkName)}, ${why}`,
    );
  }

  #failure(error: unknown, entry: TarEntry): unknown {
    const errno = errnoOf(error);
    if (error instanceof KilnError || errno === undefined) return error;
    const what = `cannot unpack ${this.#what} entry ${show(entry.name)}`;
    const message = error instanceof Error ? error.message : errno;
    return Object.assign(new Error(`${what}: ${message}`, { cause: error }), { code: errno });
  }
}

function deletionsOf(extraction: Extraction, remove: (path: ByteString) => void): Deletions | undefined {
  switch (extraction.form) {
    case 'archive':
      return undefined;
    case 'tree':
      return new TreeDeletions(extraction.tree, remove);
    case 'overlay':
      return new OverlayDeletions(extraction.tree);
  }
}

function metadataOf({ uid, gid, mode, mtime, xattrs }: TarEntry): EntryMetadata {
  return { owner: { uid, gid }, mode, times: { access: mtime, modification: mtime }, xattrs };
}

/** A path's names with `..` applied, which stops at the root. */
function splitPath(path: ByteString): ByteString[] {
  const names: ByteString[] = [];
  for (const name of namesOf(path)) {
    if (name === '..') names.pop();
    else names.push(name);
  }
  return names;
}

function show(name: ByteString): string {
  return JSON.stringify(fromByteString(name));
}
