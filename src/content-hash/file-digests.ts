import type { BigIntStats } from 'node:fs';
import type { ByteString } from '../base/text/byte-string.ts';

/** What is read of a file. It changes only together with the file's stamps: size, inode, modification time, mode and owner. */
export interface FileContent {
  /** sha256 of header (`tree/content-header.ts`) and data, 64 hex digits. */
  readonly digest: string;
  /** Extended attributes that count as content, in the form that is hashed; mostly empty. */
  readonly xattrs: ByteString;
}

/** Where parts of an entry begin: after the lengths of path and attributes three long stamps, three short ones, the digest, the path. */
const stampsAt = 2 + 4;
const modeAt = stampsAt + 3 * 8;
const digestAt = modeAt + 3 * 4;
const headSize = digestAt + 32;

/**
 * The known contents of the files of one layer directory, by path in it. Each counts only while the file has the stamps that it had then. They are packed into one array of bytes: tens of thousands of entries are loaded in a few
 * milliseconds, and decoded only where they are asked for.
 */
export class FileDigests {
  readonly #packed: Buffer;
  readonly #offsets = new Map<ByteString, number>();
  readonly #fresh = new Map<ByteString, Buffer>();
  readonly #seen = new Set<ByteString>();

  /** `packed`: bytes that `pack` returned. */
  constructor(packed: Uint8Array = new Uint8Array()) {
    this.#packed = Buffer.from(packed.buffer, packed.byteOffset, packed.byteLength);
    for (let at = 0; at < this.#packed.length; ) {
      const pathLength = this.#packed.readUInt16LE(at);
      const xattrsLength = this.#packed.readUInt32LE(at + 2);
      const pathStart = at + headSize;
      this.#offsets.set(this.#packed.toString('latin1', pathStart, pathStart + pathLength), at);
      at = pathStart + pathLength + xattrsLength;
    }
  }

  get hasChanged(): boolean {
    return this.#fresh.size > 0;
  }

  get(path: ByteString, stats: BigIntStats): FileContent | undefined {
    const at = this.#offsets.get(path);
    if (at === undefined || this.#fresh.has(path)) return undefined;
    const packed = this.#packed;
    if (
      packed.readBigInt64LE(at + stampsAt + 16) !== stats.mtimeNs ||
      packed.readBigInt64LE(at + stampsAt) !== stats.size ||
      packed.readBigUInt64LE(at + stampsAt + 8) !== stats.ino ||
      packed.readUInt32LE(at + modeAt) !== Number(stats.mode) ||
      packed.readUInt32LE(at + modeAt + 4) !== Number(stats.uid) ||
      packed.readUInt32LE(at + modeAt + 8) !== Number(stats.gid)
    ) {
      return undefined;
    }
    this.#seen.add(path);
    const xattrsLength = packed.readUInt32LE(at + 2);
    const xattrsStart = at + headSize + packed.readUInt16LE(at);
    return {
      digest: packed.toString('hex', at + digestAt, at + headSize),
      xattrs: xattrsLength === 0 ? '' : packed.toString('latin1', xattrsStart, xattrsStart + xattrsLength),
    };
  }

  set(path: ByteString, stats: BigIntStats, content: FileContent): void {
    const entry = Buffer.allocUnsafe(headSize + path.length + content.xattrs.length);
    entry.writeUInt16LE(path.length, 0);
    entry.writeUInt32LE(content.xattrs.length, 2);
    entry.writeBigInt64LE(stats.size, stampsAt);
    entry.writeBigUInt64LE(stats.ino, stampsAt + 8);
    entry.writeBigInt64LE(stats.mtimeNs, stampsAt + 16);
    entry.writeUInt32LE(Number(stats.mode), modeAt);
    entry.writeUInt32LE(Number(stats.uid), modeAt + 4);
    entry.writeUInt32LE(Number(stats.gid), modeAt + 8);
    entry.write(content.digest, digestAt, 32, 'hex');
    entry.write(path + content.xattrs, headSize, 'latin1');
    this.#fresh.set(path, entry);
  }

  delete(path: ByteString): void {
    this.#offsets.delete(path);
    this.#fresh.delete(path);
  }

  /** `onlySeen`: leaves out the files that were neither got nor set, since every file that exists was. */
  pack(onlySeen: boolean): Uint8Array {
    const entries: Buffer[] = [];
    for (const [path, at] of this.#offsets) {
      if (this.#fresh.has(path) || (onlySeen && !this.#seen.has(path))) continue;
      const size = headSize + path.length + this.#packed.readUInt32LE(at + 2);
      entries.push(this.#packed.subarray(at, at + size));
    }
    return Buffer.concat([...entries, ...this.#fresh.values()]);
  }
}
