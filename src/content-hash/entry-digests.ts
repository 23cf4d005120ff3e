import { type BigIntStats, closeSync, openSync, readlinkSync, readSync } from 'node:fs';
import { type Digest, Digester, digestHex, digestOf } from '../base/digest.ts';
import { type ByteString, toSystemPath } from '../base/text/byte-string.ts';
import { fileHeader, nodeHeader, permissionsOf, xattrsText } from '../tree/content-header.ts';
import { readContentXattrs } from '../tree/layer-xattrs.ts';
import type { MergedEntry } from '../tree/merged-directory.ts';
import { EntryListHash } from './entry-list-hash.ts';
import type { FileContent } from './file-digests.ts';

/** Returns the content of a regular file, and reads it if it is not known. */
export type ContentReader = (entry: MergedEntry) => FileContent;

const readSize = 1 << 20;
/** Changes whenever the bytes that tell of entries change their meaning. */
const version = 'kiln-entries-1\0';
const separator = '\0';
const flushSize = 1 << 16;

/**
 * Makes BuildKit's digests of the entries of a tree. Where BuildKit's rules give one digest to different content, the digest is
 * another one (`tree/content-header.ts`). Also tells `onEntries` of each entry that a digest was made of, in bytes that `content-entry.ts` reads.
 */
export class EntryDigests {
  readonly #readContent: ContentReader;
  readonly #onEntries: ((bytes: Buffer) => void) | undefined;
  #told = version;

  constructor(readContent: ContentReader, onEntries: ((bytes: Buffer) => void) | undefined) {
    this.#readContent = readContent;
    this.#onEntries = onEntries;
  }

  /** Returns the digest of an entry with everything in it. `path`: what is told of it. */
  whole(path: ByteString, entry: MergedEntry): Digest {
    const own = this.own(path, entry);
    if (!entry.directory) return own;
    const list = new EntryListHash();
    list.add('', own);
    this.addChildren(list, path, entry.directory);
    return list.digest();
  }

  /** Adds the entries of a directory to a list of them. */
  addChildren(list: EntryListHash, path: ByteString, directory: NonNullable<MergedEntry['directory']>): void {
    const prefix = path === '' ? '' : `${path}/`;
    for (const child of directory.entries()) list.add(child.name, this.whole(prefix + child.name, child));
  }

  /** Returns the digest of an entry, of a directory without what is in it. */
  own(path: ByteString, entry: Pick<MergedEntry, 'stats' | 'path' | 'layer' | 'name' | 'directory'>): Digest {
    const { stats } = entry;
    if (stats.isFile()) {
      const { digest, xattrs } = this.#readContent(entry);
      this.#tell(path, entry, xattrs, `${stats.size} ${digest}`);
      return `sha256:${digest}` as Digest;
    }
    const xattrs = xattrsOf(entry.path);
    const target = stats.isSymbolicLink() ? readlinkSync(toSystemPath(entry.path), 'latin1') : '';
    const data = stats.isSymbolicLink() ? target : entry.directory ? '' : String(stats.rdev);
    this.#tell(path, entry, xattrs, data);
    return digestOf(Buffer.from(nodeHeader(stats, xattrs, target), 'latin1'));
  }

  /** Tells of what was not told yet. */
  finish(): void {
    this.#flush();
  }

  #tell(path: ByteString, { stats }: Pick<MergedEntry, 'stats'>, xattrs: ByteString, data: ByteString): void {
    if (!this.#onEntries) return;
    this.#told += `${[path, stats.mode.toString(8), stats.uid, stats.gid, xattrs, data].join(separator)}${separator}`;
    if (this.#told.length >= flushSize) this.#flush();
  }

  #flush(): void {
    this.#onEntries?.(Buffer.from(this.#told, 'latin1'));
    this.#told = '';
  }
}

/** Reads a regular file's content. `stats` are the file's. */
export function readFileContent(
  { path, stats }: Pick<MergedEntry, 'path' | 'stats'>,
  throwIfAborted: () => void,
): FileContent {
  const { size } = stats;
  const xattrs = xattrsOf(path);
  const digester = new Digester();
  digester.update(Buffer.from(headerOf(stats, xattrs), 'latin1'));
  if (size > 0n) {
    const buffer = Buffer.allocUnsafe(Number(size < BigInt(readSize) ? size : BigInt(readSize)));
    const file = openSync(toSystemPath(path), 'r');
    try {
      for (let read = 1; read > 0; ) {
        throwIfAborted();
        read = readSync(file, buffer, 0, buffer.length, null);
        digester.update(buffer.subarray(0, read));
      }
    } finally {
      closeSync(file);
    }
  }
  return { digest: digestHex(digester.digest()), xattrs };
}

/** Returns what is hashed of a regular file before its data. */
export function headerOf(stats: BigIntStats, xattrs: ByteString): ByteString {
  const { uid, gid, size } = stats;
  return fileHeader({ permissions: permissionsOf(stats), uid, gid, size, xattrs });
}

/** Returns the extended attributes that count as content, in the form that is hashed. */
export function xattrsOf(path: ByteString): ByteString {
  return xattrsText(readContentXattrs(path) ?? []);
}
