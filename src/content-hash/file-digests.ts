import type { BigIntStats } from 'node:fs';
import type { ByteString } from '../base/text/byte-string.ts';

/** The parts of a file that change only together with its stamps: size, inode and modification time. */
export interface FileContent {
  /** sha256 of the data, 64 hex digits. */
  readonly digest: string;
  /** Extended attributes that count as content, in the form that is hashed; mostly empty. */
  readonly xattrs: ByteString;
}

/** Bytes of an entry before its path: the lengths of the path and of the xattrs, three stamps, the digest. */
const headSize = 2 + 4 + 3 * 8 + 32;

/**
 * The known contents of the files of one layer directory, by path in it. Each counts only while the file has the size, inode and
 * modification time that it had then. They are packed into one array of bytes: tens of thousands of entries are loaded in a few
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
      packed.readBigInt64LE(at + 22) !== stats.mtimeNs ||
      packed.readBigInt64LE(at + 6) !== stats.size ||
      packed.readBigUInt64LE(at + 14) !== stats.ino
    ) {
      return undefined;
    }
    this.#seen.add(path);
    const xattrsLength = packed.readUInt32LE(at + 2);
    const xattrsStart = at + headSize + packed.readUInt16LE(at);
    return {
      digest: packed.toString('hex', at + 30, at + 62),
      xattrs: xattrsLength === 0 ? '' : packed.toString('latin1', xattrsStart, xattrsStart + xattrsLength),
    };
  }

  set(path: ByteString, stats: BigIntStats, content: FileContent): void {
    const entry = Buffer.allocUnsafe(headSize + path.length + content.xattrs.length);
    entry.writeUInt16LE(path.length, 0);
    entry.writeUInt32LE(content.xattrs.length, 2);
    entry.writeBigInt64LE(stats.size, 6);
    entry.writeBigUInt64LE(stats.ino, 14);
    entry.writeBigInt64LE(stats.mtimeNs, 22);
    entry.write(content.digest, 30, 32, 'hex');
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
