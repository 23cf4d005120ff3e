import { createHash, type Hash } from 'node:crypto';
import {
  chmodSync,
  closeSync,
  constants,
  fchmodSync,
  fchownSync,
  lchownSync,
  linkSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  writeSync,
} from 'node:fs';
import { errnoOf } from '../../base/errors.ts';
import { SourceFile } from '../../linux/copy-file.ts';
import { makeDevice, mknod } from '../../linux/mknod.ts';
import { utimens } from '../../linux/utimens.ts';
import { setXattr } from '../../linux/xattr.ts';
import { isMachineAttribute } from '../../tree/machine-attributes.ts';
import { isWhiteoutNumber } from '../../tree/overlay-marks.ts';
import { byteString, displayPath, fsPath } from '../protocol/file-stat.ts';
import { unixTypeOf } from '../protocol/go-mode.ts';
import type { EntryOf, FileMetadata, SyncEntry } from './sync-entry.ts';

export interface TreeWriterOptions {
  /** Of every file, instead of what the entries say. */
  readonly owner?: { readonly uid: number; readonly gid: number };
  /** The directory holds files already: what is in the way is replaced, files appear whole, and links in it are never followed. */
  readonly existing: boolean;
}

/** A file whose data is arriving. */
interface OpenFile {
  readonly fd: number;
  /** Where it is written: its own path, or a temporary one. */
  readonly written: string;
  readonly hash: Hash;
  received: number;
}

const { O_CREAT, O_EXCL, O_NOFOLLOW, O_WRONLY } = constants;

/**
 * Makes the files of a tree below one directory, synchronously: for threads. Paths must have passed an OrderValidator, and
 * a directory must be made before what is in it, so that no path ever leads through anything but directories made here.
 */
export class TreeWriter implements Disposable {
  readonly #root: string;
  readonly #options: TreeWriterOptions;
  readonly #open = new Map<string, OpenFile>();
  readonly #directories: FileMetadata[] = [];
  readonly #hardLinks: EntryOf<'hard-link'>[] = [];
  #temporaries = 0;

  constructor(root: string, options: TreeWriterOptions) {
    this.#root = byteString(root);
    this.#options = options;
  }

  /** Makes anything but files with data. Hard links and the metadata of directories wait for `finish`. */
  make(entry: Exclude<SyncEntry, { readonly kind: 'file' }>): void {
    const target = this.#at(entry.path);
    switch (entry.kind) {
      case 'directory':
        this.#makeDirectory(target);
        this.#directories.push(entry);
        return;
      case 'hard-link':
        this.#hardLinks.push(entry);
        return;
      case 'symlink':
        this.#clear(target);
        symlinkSync(fsPath(entry.target), target);
        this.#setMetadata(target, entry, { withMode: false });
        return;
      case 'fifo':
        this.#makeNode(target, entry, 0n);
        return;
      case 'char-device':
      case 'block-device': {
        const device = makeDevice(entry.devMajor, entry.devMinor);
        // In a layer of an overlay it would delete; no mount shows it.
        if (entry.kind === 'char-device' && isWhiteoutNumber(device)) this.#clear(target);
        else this.#makeNode(target, entry, device);
        return;
      }
    }
  }

  /** Makes the file like the one that was made of the same entry in another tree. */
  copyFrom(otherRoot: string, entry: EntryOf<'file'>): void {
    using file = new SourceFile(fsPath(`${byteString(otherRoot)}/${entry.path}`));
    file.copyTo(
      this.#at(entry.path),
      { owner: this.#owner(entry), timestamp: entry.mtime },
      isMachineAttribute,
    );
  }

  /** The next data of a regular file; the first call makes the file. */
  write(entry: EntryOf<'file'>, data: Uint8Array): void {
    const file = this.#open.get(entry.path) ?? this.#create(entry);
    file.hash.update(data);
    for (let at = 0; at < data.length; ) at += writeSync(file.fd, data, at);
    file.received += data.length;
  }

  /** All data of a regular file is there. Answers its size and sha256. */
  close(entry: EntryOf<'file'>): { readonly size: number; readonly sha256: Buffer } {
    const file = this.#open.get(entry.path) ?? this.#create(entry);
    const { uid, gid } = this.#owner(entry);
    const written = fsPath(file.written);
    try {
      // A new owner takes capabilities away, and an ACL brings a mode of its own.
      fchownSync(file.fd, uid, gid);
      setXattrs(written, entry);
      fchmodSync(file.fd, entry.permissions);
    } finally {
      this.#open.delete(entry.path);
      closeSync(file.fd);
    }
    utimens(written, entry.mtime, entry.mtime);
    if (this.#options.existing) {
      const target = this.#at(entry.path);
      this.#clearDirectory(target);
      renameSync(written, target);
    }
    return { size: file.received, sha256: file.hash.digest() };
  }

  /** What must come last: hard links, and the directories' own metadata, which making entries would spoil. */
  finish(): void {
    for (const link of this.#hardLinks) {
      const target = this.#at(link.path);
      this.#clear(target);
      linkSync(this.#at(link.target), target);
    }
    for (const directory of this.#directories.toReversed()) {
      this.#setMetadata(this.#at(directory.path), directory, { withMode: true });
    }
  }

  /** Removes everything below the directory that `keep` does not know. */
  removeOthers(keep: (path: string) => boolean, dir = ''): void {
    for (const name of readdirSync(this.#at(dir), { encoding: 'latin1' })) {
      const path = dir === '' ? name : `${dir}/${name}`;
      const target = this.#at(path);
      if (!keep(path)) rmSync(target as string, { recursive: true, force: true });
      else if (lstatSync(target).isDirectory()) this.removeOthers(keep, path);
    }
  }

  [Symbol.dispose](): void {
    for (const file of this.#open.values()) {
      closeSync(file.fd);
      if (this.#options.existing) rmSync(fsPath(file.written) as string, { force: true });
    }
    this.#open.clear();
  }

  #at(path: string): string | Buffer {
    return fsPath(path === '' ? this.#root : `${this.#root}/${path}`);
  }

  #owner(metadata: FileMetadata): { readonly uid: number; readonly gid: number } {
    return this.#options.owner ?? metadata;
  }

  #create({ path }: EntryOf<'file'>): OpenFile {
    const written = this.#options.existing
      ? `${this.#root}/${parentOf(path)}.kiln-${process.pid}-${this.#temporaries++}`
      : `${this.#root}/${path}`;
    const fd = openSync(fsPath(written), O_CREAT | O_EXCL | O_NOFOLLOW | O_WRONLY, 0o600);
    const file = { fd, written, hash: createHash('sha256'), received: 0 };
    this.#open.set(path, file);
    return file;
  }

  #makeNode(
    target: string | Buffer,
    entry: EntryOf<'fifo' | 'char-device' | 'block-device'>,
    device: ReturnType<typeof makeDevice>,
  ): void {
    this.#clear(target);
    mknod(target, unixTypeOf(entry.kind) | 0o600, device);
    this.#setMetadata(target, entry, { withMode: true });
  }

  #makeDirectory(target: string | Buffer): void {
    try {
      mkdirSync(target, 0o700);
    } catch (error) {
      if (!this.#options.existing || errnoOf(error) !== 'EEXIST') throw error;
      if (lstatSync(target).isDirectory()) {
        // Its entries have to be written even if it says otherwise.
        chmodSync(target, 0o700);
        return;
      }
      unlinkSync(target);
      mkdirSync(target, 0o700);
    }
  }

  /** Something else may be in the way only in a directory that was there before. */
  #clear(target: string | Buffer): void {
    if (this.#options.existing) rmSync(target as string, { recursive: true, force: true });
  }

  #clearDirectory(target: string | Buffer): void {
    if (lstatSync(target, { throwIfNoEntry: false })?.isDirectory()) this.#clear(target);
  }

  #setMetadata(
    target: string | Buffer,
    metadata: FileMetadata,
    { withMode }: { readonly withMode: boolean },
  ): void {
    const { uid, gid } = this.#owner(metadata);
    lchownSync(target, uid, gid);
    setXattrs(target, metadata);
    if (withMode) chmodSync(target, metadata.permissions);
    utimens(target, metadata.mtime, metadata.mtime);
  }
}

/** Attributes that the file system or the kernel refuses are left out, as fsutil does; and those that say where a file lay. */
function setXattrs(target: string | Buffer, { xattrs }: FileMetadata): void {
  for (const [bytes, value] of xattrs) {
    const name = displayPath(bytes);
    if (isMachineAttribute(name)) continue;
    try {
      setXattr(target, name, value);
    } catch (error) {
      const errno = errnoOf(error);
      if (errno !== 'ENOTSUP' && errno !== 'EOPNOTSUPP' && errno !== 'EPERM' && errno !== 'EINVAL')
        throw error;
    }
  }
}

function parentOf(path: string): string {
  return path.slice(0, path.lastIndexOf('/') + 1);
}
