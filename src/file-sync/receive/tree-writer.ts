import { createHash, type Hash } from 'node:crypto';
import { type ByteString, fromByteString } from '../../base/text/byte-string.ts';
import { makeDevice } from '../../linux/mknod.ts';
import { fileHeader } from '../../tree/content-header.ts';
import { isMachineAttribute } from '../../tree/machine-attributes.ts';
import { isWhiteoutNumber } from '../../tree/overlay-marks.ts';
import { pathIn } from '../../tree/tree.ts';
import type { EntryMetadata, GrowingFile, TreeMaker } from '../../tree/tree-maker.ts';
import type { EntryOf, FileMetadata, SyncEntry } from './sync-entry.ts';

/** Instead of what the entries say. */
export type Owner = NonNullable<EntryMetadata['owner']>;

/** A file whose data is arriving. */
interface OpenFile {
  readonly growing: GrowingFile;
  readonly hash: Hash;
  received: number;
}

/**
 * Makes the files that a peer announces, synchronously: for threads. Paths must have passed an OrderValidator, and
 * a directory must be made before what is in it, so that no path ever leads through anything but directories made here.
 */
export class TreeWriter implements Disposable {
  readonly #tree: TreeMaker;
  readonly #owner: Owner | undefined;
  readonly #open = new Map<ByteString, OpenFile>();
  readonly #directories: EntryOf<'directory'>[] = [];
  readonly #hardLinks: EntryOf<'hard-link'>[] = [];

  /** `owner`: of every file. The writer owns the maker. */
  constructor(tree: TreeMaker, owner: Owner | undefined) {
    this.#tree = tree;
    this.#owner = owner;
  }

  /** Makes anything but files with data. Hard links and the metadata of directories wait for `finish`. */
  make(entry: Exclude<SyncEntry, { readonly kind: 'file' }>): void {
    const tree = this.#tree;
    const { path } = entry;
    switch (entry.kind) {
      case 'directory':
        // Its entries have to be written even if it says otherwise.
        tree.add(path, { kind: 'directory', metadata: { mode: 0o700 } });
        this.#directories.push(entry);
        return;
      case 'hard-link':
        this.#hardLinks.push(entry);
        return;
      case 'symlink':
        tree.add(path, { kind: 'symlink', metadata: this.#metadata(entry), target: entry.target });
        return;
      case 'fifo':
        tree.add(path, { kind: 'fifo', metadata: this.#metadata(entry) });
        return;
      case 'character-device':
      case 'block-device': {
        const { kind, devMajor: major, devMinor: minor } = entry;
        // In a layer of an overlay it would delete; no mount shows it.
        if (kind === 'character-device' && isWhiteoutNumber(makeDevice(major, minor))) tree.remove(path);
        else tree.add(path, { kind, metadata: this.#metadata(entry), major, minor });
        return;
      }
    }
  }

  /** Makes the file like the one that was made of the same entry in another tree, which is at `root` on this machine. */
  copyFrom(root: ByteString, entry: EntryOf<'file'>): void {
    const changes = {
      owner: this.#owner ?? entry,
      timestamp: entry.mtime,
      leavesOut: isMachineAttribute,
    };
    this.#tree.copy(entry.path, { path: `${root}/${entry.path}` }, changes);
  }

  /** Makes a file that nobody announced. */
  addFile(path: ByteString, data: Uint8Array): void {
    this.#tree.add(path, { kind: 'file', metadata: { mode: 0o644 }, data });
  }

  /** The next data of a regular file; the first call makes the file. */
  write(entry: EntryOf<'file'>, data: Uint8Array): void {
    const file = this.#open.get(entry.path) ?? this.#create(entry);
    file.hash.update(data);
    file.growing.write(data);
    file.received += data.length;
  }

  /** All data of a regular file is there. Returns its size, and the sha256 of its header and data. */
  close(entry: EntryOf<'file'>): { readonly size: number; readonly sha256: Buffer } {
    const file = this.#open.get(entry.path) ?? this.#create(entry);
    this.#open.delete(entry.path);
    file.growing.finish();
    return { size: file.received, sha256: file.hash.digest() };
  }

  /** What must come last: hard links, and the directories' own metadata, which making entries would spoil. */
  finish(): void {
    for (const { path, target } of this.#hardLinks) this.#tree.add(path, { kind: 'hard-link', target });
    for (const directory of this.#directories.toReversed()) {
      this.#tree.setMetadata(directory.path, this.#metadata(directory));
    }
    this.#tree.finish();
  }

  /** Removes everything below the directory that `keep` does not know. */
  removeOthers(keep: (path: ByteString) => boolean, directory: ByteString = ''): void {
    for (const name of this.#tree.names(directory)) {
      const path = pathIn(directory, name);
      if (!keep(path)) this.#tree.remove(path);
      else if (this.#tree.lookup(path)?.kind === 'directory') this.removeOthers(keep, path);
    }
  }

  [Symbol.dispose](): void {
    this.#tree[Symbol.dispose]();
  }

  /** What is hashed of a file before its data. With attributes more would be, so that digests of such files are of no use. */
  header(entry: EntryOf<'file'>): ByteString {
    const { permissions, size } = entry;
    const { uid, gid } = this.#owner ?? entry;
    return fileHeader({ permissions, uid, gid, size, xattrs: '' });
  }

  #create(entry: EntryOf<'file'>): OpenFile {
    const growing = this.#tree.addFile(entry.path, this.#metadata(entry));
    const hash = createHash('sha256').update(Buffer.from(this.header(entry), 'latin1'));
    const file = { growing, hash, received: 0 };
    this.#open.set(entry.path, file);
    return file;
  }

  #metadata({ uid, gid, permissions, mtime, xattrs }: FileMetadata): EntryMetadata {
    return {
      owner: this.#owner ?? { uid, gid },
      mode: permissions,
      times: { access: mtime, modification: mtime },
      xattrs: xattrs.size > 0 ? textXattrs(xattrs) : undefined,
    };
  }
}

function textXattrs(xattrs: FileMetadata['xattrs']): ReadonlyMap<string, ByteString> {
  return new Map(
    [...xattrs].map(([name, value]) => [fromByteString(name), Buffer.from(value).toString('latin1')]),
  );
}
