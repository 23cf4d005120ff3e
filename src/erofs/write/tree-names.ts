import { constants } from 'node:os';
import type { ByteString } from '../../base/text/byte-string.ts';
import { SystemError } from '../../linux/libc.ts';
import { parentOf } from '../../tree/tree.ts';
import { nameLimit } from '../format/layout.ts';
import type { InodeId } from './inode-table.ts';

/** A directory of a tree that is being written. */
export interface DirectoryNames {
  readonly inode: InodeId;
  readonly parent: DirectoryNames | undefined;
  readonly entries: Map<ByteString, InodeId>;
}

/** A place for an entry: where its name goes. */
export interface NamePlace {
  readonly directory: DirectoryNames;
  readonly name: ByteString;
}

/** The names of a tree that is being written. Errors are those of the kernel. */
export class TreeNames {
  readonly root: DirectoryNames;
  readonly #directories = new Map<InodeId, DirectoryNames>();
  /** The directory that was asked for last: most entries come one after the other. */
  #lastPath: ByteString = '';
  #last: DirectoryNames;

  constructor(root: InodeId) {
    this.root = { inode: root, parent: undefined, entries: new Map() };
    this.#last = this.root;
    this.#directories.set(root, this.root);
  }

  /** Undefined when there is no such entry. Throws ENOTDIR. */
  find(path: ByteString): InodeId | undefined {
    if (path === '') return this.root.inode;
    const directory = this.#directoryAt(parentOf(path));
    return directory?.entries.get(lastNameOf(path));
  }

  /** The inode at a path. Throws ENOENT, ENOTDIR. */
  require(path: ByteString): InodeId {
    return this.find(path) ?? fail('ENOENT', path);
  }

  /** Where a new entry goes. Throws EEXIST, ENOENT, ENOTDIR, ENAMETOOLONG, EINVAL. */
  place(path: ByteString): NamePlace {
    const name = lastNameOf(path);
    if (name === '' || name === '.' || name === '..') fail('EEXIST', path);
    if (name.length > nameLimit) fail('ENAMETOOLONG', path);
    if (name.includes('\0')) fail('EINVAL', path);
    const directory = this.#directoryAt(parentOf(path)) ?? fail('ENOENT', path);
    if (directory.entries.has(name)) fail('EEXIST', path);
    return { directory, name };
  }

  /** Where the name of an entry is. Throws ENOENT, ENOTDIR. */
  locate(path: ByteString): NamePlace {
    const directory = this.#directoryAt(parentOf(path)) ?? fail('ENOENT', path);
    return { directory, name: lastNameOf(path) };
  }

  addDirectory({ directory, name }: NamePlace, inode: InodeId): void {
    directory.entries.set(name, inode);
    this.#directories.set(inode, { inode, parent: directory, entries: new Map() });
  }

  /** The names in a directory. Throws ENOENT, ENOTDIR. */
  directory(path: ByteString): DirectoryNames {
    return this.directoryOf(this.require(path)) ?? fail('ENOTDIR', path);
  }

  /** Undefined for what is no directory. */
  directoryOf(inode: InodeId): DirectoryNames | undefined {
    return this.#directories.get(inode);
  }

  /** Removes an entry, and all that is in it. Returns the inodes of the names that are gone. */
  remove(path: ByteString): readonly InodeId[] {
    const inode = this.find(path);
    const name = lastNameOf(path);
    if (inode === undefined) return [];
    const gone: InodeId[] = [inode];
    // What was removed grows while it is walked.
    for (const each of gone) {
      const directory = this.#directories.get(each);
      if (!directory) continue;
      for (const child of directory.entries.values()) gone.push(child);
      this.#directories.delete(each);
    }
    this.#directoryAt(parentOf(path))!.entries.delete(name);
    this.#lastPath = '';
    this.#last = this.root;
    return gone;
  }

  /** All directories, each after the one it is in. */
  *directories(): Iterable<DirectoryNames> {
    yield* this.#directories.values();
  }

  /** Undefined when it is not there. Throws ENOTDIR when the path, or what it leads through, is none. */
  #directoryAt(path: ByteString): DirectoryNames | undefined {
    if (path === this.#lastPath) return this.#last;
    let directory = this.root;
    for (const name of path === '' ? [] : path.split('/')) {
      const inode = directory.entries.get(name);
      if (inode === undefined) return undefined;
      directory = this.#directories.get(inode) ?? fail('ENOTDIR', path);
    }
    this.#lastPath = path;
    this.#last = directory;
    return directory;
  }
}

function lastNameOf(path: ByteString): ByteString {
  return path.slice(path.lastIndexOf('/') + 1);
}

function fail(errno: 'EEXIST' | 'ENOENT' | 'ENOTDIR' | 'ENAMETOOLONG' | 'EINVAL', path: ByteString): never {
  throw new SystemError('open', constants.errno[errno], Buffer.from(path, 'latin1'));
}
