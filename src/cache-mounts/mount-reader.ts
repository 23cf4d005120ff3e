import {
  closeSync,
  constants,
  fstatSync,
  lstatSync,
  openSync,
  readdirSync,
  readlinkSync,
  readSync,
} from 'node:fs';
import { errnoOf } from '../base/errors.ts';
import { type ByteString, toSystemPath } from '../base/text/byte-string.ts';
import { pathIn } from '../tree/tree.ts';
import type { StoredEntry } from './mount-index.ts';

/** Gives the chunks of a file's data their positions. */
export type StoreData = (read: (buffer: Buffer) => number) => readonly number[];

const { O_DIRECTORY, O_NOFOLLOW, O_NONBLOCK, O_RDONLY } = constants;

/**
 * The entries of a directory, each with what is in it after it, in the order of their names. Steps may be writing to it meanwhile: directories are held open and
 * each name is looked up in the one that was opened, so that no link that takes a directory's place leads anywhere. What vanishes is left out; so are sockets,
 * devices and pipes.
 */
export class MountReader {
  readonly #store: StoreData;
  readonly #throwIfAborted: () => void;
  readonly #entries: StoredEntry[] = [];
  /** The first names of files that have several. */
  readonly #firstNames = new Map<string, ByteString>();

  constructor(store: StoreData, throwIfAborted: () => void) {
    this.#store = store;
    this.#throwIfAborted = throwIfAborted;
  }

  /** Of the directory at this path of this machine. To be called once. */
  read(directory: string): readonly StoredEntry[] {
    const root = openSync(directory, O_RDONLY | O_DIRECTORY);
    try {
      this.#entries.push(this.#directoryEntry('', root));
      this.#readDirectory('', root);
    } finally {
      closeSync(root);
    }
    return this.#entries;
  }

  #readDirectory(path: ByteString, descriptor: number): void {
    const here = `/proc/self/fd/${descriptor}`;
    for (const name of readdirSync(here, 'latin1').toSorted()) {
      this.#throwIfAborted();
      try {
        this.#readEntry(pathIn(path, name), toSystemPath(`${here}/${name}`));
      } catch (error) {
        if (!/^(ENOENT|ELOOP|ENOTDIR|ESTALE)$/.test(errnoOf(error) ?? '')) throw error;
      }
    }
  }

  #readEntry(path: ByteString, file: string | Buffer): void {
    const stats = lstatSync(file, { bigint: true });
    if (stats.isSymbolicLink()) {
      const target = readlinkSync(file, 'latin1');
      const [uid, gid] = [Number(stats.uid), Number(stats.gid)];
      this.#entries.push({ kind: 'symlink', path, uid, gid, time: stats.mtimeNs, target });
      return;
    }
    if (!stats.isDirectory() && !stats.isFile()) return;
    const flags = stats.isDirectory() ? O_DIRECTORY : O_NONBLOCK;
    const descriptor = openSync(file, O_RDONLY | O_NOFOLLOW | flags);
    try {
      if (stats.isDirectory()) {
        this.#entries.push(this.#directoryEntry(path, descriptor));
        this.#readDirectory(path, descriptor);
      } else this.#readFile(path, descriptor);
    } finally {
      closeSync(descriptor);
    }
  }

  #directoryEntry(path: ByteString, descriptor: number): StoredEntry {
    return { kind: 'directory', path, ...ownedBy(descriptor) };
  }

  #readFile(path: ByteString, descriptor: number): void {
    const stats = fstatSync(descriptor, { bigint: true });
    if (!stats.isFile()) return;
    if (stats.nlink > 1n) {
      const inode = `${stats.dev} ${stats.ino}`;
      const target = this.#firstNames.get(inode);
      if (target !== undefined) {
        this.#entries.push({ kind: 'hard-link', path, target });
        return;
      }
      this.#firstNames.set(inode, path);
    }
    const chunks = this.#store((buffer) => readSync(descriptor, buffer));
    this.#entries.push({ kind: 'file', path, ...ownedBy(descriptor), chunks });
  }
}

function ownedBy(descriptor: number) {
  const { uid, gid, mode, mtimeNs } = fstatSync(descriptor, { bigint: true });
  return { uid: Number(uid), gid: Number(gid), mode: Number(mode) & 0o7777, time: mtimeNs };
}
