import type { ByteString } from '../../base/text/byte-string.ts';
import { directorySize, writeDirectory } from '../format/directory-blocks.ts';
import { dataLayouts, fitsInline, inodeSize, recordPosition, roundUp } from '../format/layout.ts';
import type { InodeId, InodeTable } from './inode-table.ts';
import type { DirectoryNames, TreeNames } from './tree-names.ts';

export interface DirectoryPlaces {
  readonly blockSize: number;
  /** Where the inode of the root is, in bytes. */
  readonly root: number;
  /** Takes blocks that follow each other. Returns the first one's address. */
  readonly reserve: (blocks: number) => number;
}

interface PlacedDirectory {
  readonly directory: DirectoryNames;
  /** `.` and `..` among them, sorted. */
  readonly names: readonly ByteString[];
  readonly size: number;
  readonly isInline: boolean;
}

/** Bytes that are written at once. */
const stretchSize = 1 << 20;

/**
 * The end of an image: its directories. All of them get their places first, since they name each other: records with what fits behind an inode, one
 * after the other, and then the blocks of larger ones. So they are written from beginning to end.
 */
export class DirectoryArea {
  readonly #inodes: InodeTable;
  readonly #places: DirectoryPlaces;
  readonly #root: PlacedDirectory;
  readonly #others: readonly PlacedDirectory[];
  readonly #names: TreeNames;
  readonly #start: number;
  readonly #recordsEnd: number;
  readonly #end: number;

  constructor(names: TreeNames, inodes: InodeTable, places: DirectoryPlaces) {
    this.#names = names;
    this.#inodes = inodes;
    this.#places = places;
    const { blockSize } = places;
    const all = Array.from(names.directories(), (directory) => this.#measure(directory));
    const [root, ...others] = all;
    this.#root = root!;
    this.#others = others;
    let end = 0;
    const offsets = others.map(({ directory, size, isInline }) => {
      const xattrs = inodes.xattrSize(directory.inode);
      const inline = isInline ? size : 0;
      const offset = recordPosition(end, xattrs, inline, blockSize);
      end = offset + inodeSize + xattrs + inline;
      return offset;
    });
    const recordBlocks = Math.ceil(end / blockSize);
    const largeBlocks = all.map(({ size, isInline }) => (isInline ? 0 : Math.ceil(size / blockSize)));
    const blocks = recordBlocks + largeBlocks.reduce((sum, count) => sum + count, 0);
    const first = places.reserve(blocks);
    this.#start = first * blockSize;
    this.#end = this.#start + blocks * blockSize;
    this.#recordsEnd = this.#start + end;
    let next = first + recordBlocks;
    for (const [index, { directory, size, isInline }] of all.entries()) {
      const { inode } = directory;
      inodes.setPosition(inode, index === 0 ? places.root : this.#start + offsets[index - 1]!);
      inodes.setData(inode, isInline ? dataLayouts.inline : dataLayouts.plain, size, isInline ? 0 : next);
      inodes.setLinks(inode, 2 + this.#childDirectories(directory));
      next += largeBlocks[index]!;
    }
  }

  /** Returns the first bytes of the image, with the root. `put` gets everything else, in order. */
  write({
    xattrs,
    put,
  }: {
    readonly xattrs: (id: InodeId) => Buffer;
    readonly put: (position: number, bytes: Buffer) => void;
  }): Buffer {
    const stretch = new Stretch(this.#start, Math.min(stretchSize, this.#end - this.#start), put);
    for (const placed of this.#others) this.#writeRecord(placed, xattrs, (at, size) => stretch.at(at, size));
    stretch.moveTo(roundUp(this.#recordsEnd, this.#places.blockSize));
    for (const placed of [this.#root, ...this.#others]) {
      if (placed.isInline) continue;
      const at = this.#inodes.place(placed.directory.inode) * this.#places.blockSize;
      this.#writeEntries(placed, stretch.at(at, placed.size));
    }
    stretch.end();
    let start = Buffer.alloc(0);
    this.#writeRecord(this.#root, xattrs, (at, size) => {
      start = Buffer.alloc(at + size);
      return start.subarray(at);
    });
    return start;
  }

  #writeRecord(
    placed: PlacedDirectory,
    xattrsOf: (id: InodeId) => Buffer,
    bytesAt: (position: number, size: number) => Buffer,
  ): void {
    const { inode } = placed.directory;
    const xattrs = xattrsOf(inode);
    const after = inodeSize + xattrs.length;
    const bytes = bytesAt(this.#inodes.position(inode), after + (placed.isInline ? placed.size : 0));
    this.#inodes.copy(inode, bytes, 0);
    bytes.set(xattrs, inodeSize);
    if (placed.isInline) this.#writeEntries(placed, bytes.subarray(after));
  }

  #writeEntries({ directory, names }: PlacedDirectory, target: Buffer): void {
    writeDirectory(target, names, this.#places.blockSize, (name) => {
      const id = this.#entry(directory, name);
      return { position: this.#inodes.position(id), mode: this.#inodes.mode(id) };
    });
  }

  #entry(directory: DirectoryNames, name: ByteString): InodeId {
    if (name === '.') return directory.inode;
    if (name === '..') return (directory.parent ?? directory).inode;
    return directory.entries.get(name)!;
  }

  #measure(directory: DirectoryNames): PlacedDirectory {
    const { blockSize } = this.#places;
    const names = ['.', '..', ...directory.entries.keys()].sort();
    const size = directorySize(names, blockSize);
    const xattrs = this.#inodes.xattrSize(directory.inode);
    // The place of the root is given.
    const start = directory.parent ? 0 : this.#places.root;
    const isInline = fitsInline(start + xattrs, size, blockSize);
    return { directory, names, size, isInline };
  }

  #childDirectories(directory: DirectoryNames): number {
    let count = 0;
    for (const id of directory.entries.values()) if (this.#names.directoryOf(id)) count++;
    return count;
  }
}

/** Bytes that are written in order, many at a time. */
class Stretch {
  readonly #put: (position: number, bytes: Buffer) => void;
  #buffer: Buffer;
  #start: number;
  #used = 0;

  constructor(start: number, size: number, put: (position: number, bytes: Buffer) => void) {
    this.#buffer = Buffer.alloc(size);
    this.#start = start;
    this.#put = put;
  }

  /** The bytes at `position`, which are zero, to be filled until the next call. Nothing before it can be had any more. */
  at(position: number, size: number): Buffer {
    if (position + size > this.#start + this.#buffer.length) {
      this.#write();
      this.#start = position;
      if (size > this.#buffer.length) this.#buffer = Buffer.alloc(size);
    }
    const from = position - this.#start;
    this.#used = from + size;
    return this.#buffer.subarray(from, from + size);
  }

  moveTo(position: number): void {
    this.#write();
    this.#start = position;
  }

  end(): void {
    this.#write();
  }

  #write(): void {
    this.#put(this.#start, this.#buffer.subarray(0, this.#used));
    this.#buffer.fill(0, 0, this.#used);
    this.#used = 0;
  }
}
