import { randomUUID } from 'node:crypto';
import {
  chmodSync,
  lchownSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmdirSync,
  symlinkSync,
  unlinkSync,
} from 'node:fs';
import { errnoOf, KilnError } from '../base/errors.ts';
import { type ByteString, fromByteString, toSystemPath } from '../base/text/byte-string.ts';
import { makeDevice, mknod } from '../linux/mknod.ts';
import { utimens } from '../linux/utimens.ts';
import { setXattr } from '../linux/xattr.ts';
import { copyAccess, copyEntry, copyMetadata } from './copy-entry.ts';
import { DirectoryTree } from './directory-tree.ts';
import { GrowingDirectoryFile, ownFile } from './growing-directory-file.ts';
import { isMachineAttribute } from './machine-attributes.ts';
import { isOpaque, isWhiteoutNumber, makeOpaque, makeWhiteout } from './overlay-marks.ts';
import { parentOf, pathIn } from './tree.ts';
import type {
  EntryChanges,
  EntryMetadata,
  GrowingFile,
  LayerMaker,
  SourceEntry,
  TreeEntry,
} from './tree-maker.ts';

export interface DirectoryTreeOptions {
  /**
   * What happens when something has the name of an entry. `fail` (the default): an error with the code EEXIST. `replace`, for directories that others use: it is
   * removed first, but a directory keeps its contents when another takes its place, and a file appears under its name when it is finished.
   */
  readonly existing?: 'fail' | 'replace';
  /**
   * What happens to extended attributes that the kernel refuses. `leave-out`: the entry is made without them. `fail` (the default): an error, but for `user.`
   * attributes of what can have none. Attributes that the file system does not support are always left out.
   */
  readonly refusedXattrs?: 'fail' | 'leave-out';
}

const ownDirectory = 0o700;
const nodeTypes = { fifo: 0o010000, 'character-device': 0o020000, 'block-device': 0o060000 } as const;

/** Makes a tree, or a layer of one, in a directory of this machine. */
export class DirectoryTreeMaker extends DirectoryTree implements LayerMaker {
  readonly #replaces: boolean;
  readonly #leavesOut: boolean;
  readonly #growing = new Set<GrowingDirectoryFile>();

  /** `directory`: an absolute path. It exists. */
  constructor(directory: ByteString, { existing, refusedXattrs }: DirectoryTreeOptions = {}) {
    super(directory);
    this.#replaces = existing === 'replace';
    this.#leavesOut = refusedXattrs === 'leave-out';
  }

  add(path: ByteString, entry: TreeEntry): void {
    const file = this.systemPath(path);
    switch (entry.kind) {
      case 'file': {
        const growing = this.addFile(path, entry.metadata);
        growing.write(entry.data);
        growing.finish();
        return;
      }
      case 'directory':
        this.#makeDirectory(file);
        this.#setMetadata(file, entry.metadata);
        return;
      case 'symlink':
        this.#makeWay(path);
        symlinkSync(toSystemPath(entry.target), file);
        this.#setMetadata(file, { ...entry.metadata, mode: undefined });
        return;
      case 'hard-link':
        this.#makeWay(path);
        linkSync(this.systemPath(entry.target), file);
        return;
      case 'fifo':
        this.#makeWay(path);
        mknod(file, nodeTypes.fifo | ownFile);
        this.#setMetadata(file, entry.metadata);
        return;
      case 'character-device':
      case 'block-device': {
        const device = makeDevice(entry.major, entry.minor);
        if (entry.kind === 'character-device' && isWhiteoutNumber(device)) {
          throw new KilnError('invalid_argument', `/${fromByteString(path)} is a character device 0/0`);
        }
        this.#makeWay(path);
        mknod(file, nodeTypes[entry.kind] | ownFile, device);
        this.#setMetadata(file, entry.metadata);
        return;
      }
      default:
        entry satisfies never;
    }
  }

  addFile(path: ByteString, metadata: EntryMetadata): GrowingFile {
    const target = this.fileAt(path);
    const written = this.#replaces ? this.fileAt(pathIn(parentOf(path), `.kiln-${randomUUID()}`)) : target;
    const file = new GrowingDirectoryFile(toSystemPath(written), metadata, {
      setXattrs: (xattrs) => this.#setXattrs(toSystemPath(written), xattrs),
      ended: (whole) => {
        this.#growing.delete(file);
        if (!this.#replaces) return;
        if (whole) this.#putInPlace(written, target);
        else removeAll(written);
      },
    });
    this.#growing.add(file);
    return file;
  }

  copy(path: ByteString, source: SourceEntry, changes: EntryChanges): void {
    if (this.#replaces) this.#makeWay(path);
    copyEntry(source, this.fileAt(path), 'content', changes);
  }

  copyMetadata(path: ByteString, source: Required<SourceEntry>, changes: EntryChanges): void {
    copyMetadata(source, this.fileAt(path), 'content', changes);
  }

  setMetadata(path: ByteString, metadata: Partial<EntryMetadata>): void {
    const file = this.systemPath(path);
    const { owner, mode } = metadata;
    if (!owner && mode === undefined) {
      this.#setMetadata(file, metadata);
      return;
    }
    const stats = lstatSync(file);
    // To give the same owner again would take away capabilities, which another name of the file may have brought.
    const isOwned = owner !== undefined && stats.uid === owner.uid && stats.gid === owner.gid;
    this.#setMetadata(file, {
      ...metadata,
      owner: isOwned ? undefined : owner,
      mode: stats.isSymbolicLink() ? undefined : mode,
    });
  }

  remove(path: ByteString): void {
    removeAll(this.fileAt(path));
  }

  addWhiteout(path: ByteString): void {
    makeWhiteout(this.systemPath(path));
  }

  makeOpaque(path: ByteString): void {
    makeOpaque(this.systemPath(path));
  }

  isOpaque(path: ByteString): boolean {
    return isOpaque(this.systemPath(path));
  }

  copyUp(path: ByteString, source: Required<SourceEntry>): void {
    mkdirSync(this.systemPath(path), ownDirectory);
    this.copyAccess(path, source);
  }

  copyAccess(path: ByteString, source: Required<SourceEntry>): void {
    copyAccess(source, this.fileAt(path), 'layer');
  }

  finish(): void {
    if (this.#growing.size > 0) throw new KilnError('internal', 'a tree was finished before its files');
  }

  [Symbol.dispose](): void {
    for (const file of this.#growing) file.giveUp();
  }

  #makeDirectory(file: string | Buffer): void {
    try {
      mkdirSync(file, ownDirectory);
    } catch (error) {
      if (!this.#replaces || errnoOf(error) !== 'EEXIST') throw error;
      if (lstatSync(file).isDirectory()) return;
      unlinkSync(file);
      mkdirSync(file, ownDirectory);
    }
  }

  /** Something can be in the way only in a directory that was there before. */
  #makeWay(path: ByteString): void {
    if (this.#replaces) removeAll(this.fileAt(path));
  }

  #putInPlace(written: ByteString, target: ByteString): void {
    const file = toSystemPath(target);
    try {
      if (lstatSync(file, { throwIfNoEntry: false })?.isDirectory()) removeAll(target);
      renameSync(toSystemPath(written), file);
    } catch (error) {
      removeAll(written);
      throw error;
    }
  }

  #setMetadata(file: string | Buffer, { owner, mode, times, xattrs }: Partial<EntryMetadata>): void {
    // A new owner takes capabilities away, and an access control list has a mode in it.
    if (owner) lchownSync(file, owner.uid, owner.gid);
    if (xattrs) this.#setXattrs(file, xattrs);
    if (mode !== undefined) chmodSync(file, mode);
    if (times) utimens(file, times.access, times.modification);
  }

  #setXattrs(file: string | Buffer, xattrs: ReadonlyMap<string, ByteString>): void {
    for (const [name, value] of xattrs) {
      // Nothing from outside may steer an overlay, to a directory elsewhere for example.
      if (isMachineAttribute(name)) continue;
      try {
        setXattr(file, name, Buffer.from(value, 'latin1'));
      } catch (error) {
        if (!this.#mayBeLeftOut(name, errnoOf(error))) throw error;
      }
    }
  }

  #mayBeLeftOut(name: string, errno: string | undefined): boolean {
    if (errno === 'ENOTSUP' || errno === 'EOPNOTSUPP') return true;
    // Only files and directories have attributes of users.
    if (errno === 'EPERM') return this.#leavesOut || name.startsWith('user.');
    return errno === 'EINVAL' && this.#leavesOut;
  }
}

/** Removes what is at a path of this machine, if something is. Unlike Node's own removal of trees, it fails with the errno of the call that failed. */
function removeAll(path: ByteString): void {
  const file = toSystemPath(path);
  const stats = lstatSync(file, { throwIfNoEntry: false });
  if (!stats) return;
  if (!stats.isDirectory()) {
    unlinkSync(file);
    return;
  }
  for (const name of readdirSync(file, { encoding: 'latin1' })) removeAll(`${path}/${name}`);
  rmdirSync(file);
}
