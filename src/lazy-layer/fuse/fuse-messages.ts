import type { BigIntStats } from 'node:fs';

/**
 * The messages of the kernel's FUSE protocol, version 7.31 (`include/uapi/linux/fuse.h`), as far as a file system that nobody writes to needs
 * them. Numbers are in the order of the machine, which is little-endian on all that Kiln runs on.
 */

export const opcode = {
  lookup: 1,
  forget: 2,
  getattr: 3,
  readlink: 5,
  open: 14,
  read: 15,
  statfs: 17,
  release: 18,
  getxattr: 22,
  listxattr: 23,
  flush: 25,
  init: 26,
  opendir: 27,
  readdir: 28,
  releasedir: 29,
  interrupt: 36,
  destroy: 38,
  batchForget: 42,
} as const;

export const rootNode = 1;
/** The kernel wants a buffer of at least this many bytes to read into. */
export const requestSize = 128 * 1024;

const headerSize = 40;
const answerHeaderSize = 16;
const attributesSize = 88;
const entrySize = 40 + attributesSize;
const version = { major: 7, minor: 31 };
/** Several reads at a time, look-ups too; POSIX ACLs; larger reads; links are kept. */
const features = (1 << 0) | (1 << 18) | (1 << 20) | (1 << 22) | (1 << 23);
const readAhead = 128 * 1024;
const pagesOfRead = 256;
/** The tree never changes: what the kernel knows of it stays true. Seconds. */
const forever = 24 * 3600;
const keepCache = 1 << 1;
const keepDirectory = 1 << 3;

export interface FuseRequest {
  readonly opcode: number;
  /** Names the request in its answer. */
  readonly unique: bigint;
  readonly node: number;
  /** The thread that asks, by the kernel's number. */
  readonly thread: number;
  readonly body: Buffer;
}

/** Takes apart what was read from the device. */
export function parseRequest(bytes: Buffer): FuseRequest {
  return {
    opcode: bytes.readUInt32LE(4),
    unique: bytes.readBigUInt64LE(8),
    node: Number(bytes.readBigUInt64LE(16)),
    thread: bytes.readUInt32LE(32),
    body: bytes.subarray(headerSize, bytes.readUInt32LE(0)),
  };
}

/** A name that ends with a zero byte. */
export function nameIn(body: Buffer, from = 0): string {
  return body.toString('latin1', from, body.indexOf(0, from));
}

export function readRequest(body: Buffer): {
  readonly handle: number;
  readonly offset: number;
  readonly size: number;
} {
  return {
    handle: Number(body.readBigUInt64LE(0)),
    offset: Number(body.readBigUInt64LE(8)),
    size: body.readUInt32LE(16),
  };
}

/** The nodes that are forgotten, with how many look-ups of each. */
export function forgottenNodes({
  opcode: code,
  node,
  body,
}: FuseRequest): readonly (readonly [number, number])[] {
  if (code === opcode.forget) return [[node, Number(body.readBigUInt64LE(0))]];
  return Array.from({ length: body.readUInt32LE(0) }, (_, index) => [
    Number(body.readBigUInt64LE(8 + index * 16)),
    Number(body.readBigUInt64LE(16 + index * 16)),
  ]);
}

export function answer(unique: bigint, body: Uint8Array = new Uint8Array()): Buffer {
  const bytes = Buffer.allocUnsafe(answerHeaderSize + body.length);
  bytes.writeUInt32LE(bytes.length, 0);
  bytes.writeInt32LE(0, 4);
  bytes.writeBigUInt64LE(unique, 8);
  bytes.set(body, answerHeaderSize);
  return bytes;
}

/** `errno` is positive. */
export function failure(unique: bigint, errno: number): Buffer {
  const bytes = answer(unique);
  bytes.writeInt32LE(-errno, 4);
  return bytes;
}

/** What the file system says of itself. `asked` is the body of the kernel's question. */
export function initBody(asked: Buffer): Buffer {
  const body = Buffer.alloc(64);
  body.writeUInt32LE(version.major, 0);
  body.writeUInt32LE(version.minor, 4);
  body.writeUInt32LE(Math.min(asked.readUInt32LE(8), readAhead), 8);
  body.writeUInt32LE((asked.readUInt32LE(12) & features) >>> 0, 12);
  body.writeUInt16LE(64, 16);
  body.writeUInt16LE(48, 18);
  body.writeUInt32LE(4096, 20);
  body.writeUInt32LE(1, 24);
  body.writeUInt16LE(pagesOfRead, 28);
  return body;
}

/** A name's node; without one, that there is no such name. */
export function entryBody(found?: { readonly node: number; readonly stats: BigIntStats }): Buffer {
  const body = Buffer.alloc(entrySize);
  body.writeBigUInt64LE(BigInt(forever), 16);
  if (!found) return body;
  body.writeBigUInt64LE(BigInt(found.node), 0);
  body.writeBigUInt64LE(BigInt(forever), 24);
  writeAttributes(body, 40, found.stats);
  return body;
}

export function attributesBody(stats: BigIntStats): Buffer {
  const body = Buffer.alloc(16 + attributesSize);
  body.writeBigUInt64LE(BigInt(forever), 0);
  writeAttributes(body, 16, stats);
  return body;
}

function writeAttributes(body: Buffer, at: number, stats: BigIntStats): void {
  const { ino, size, mode, nlink, uid, gid, rdev } = stats;
  body.writeBigUInt64LE(ino, at);
  body.writeBigUInt64LE(size, at + 8);
  body.writeBigUInt64LE(stats.blocks, at + 16);
  for (const [index, time] of [stats.atimeNs, stats.mtimeNs, stats.ctimeNs].entries()) {
    body.writeBigInt64LE(floorDivision(time, second), at + 24 + index * 8);
    body.writeUInt32LE(Number(time - floorDivision(time, second) * second), at + 48 + index * 4);
  }
  for (const [index, value] of [mode, nlink, uid, gid, rdev].entries()) {
    body.writeUInt32LE(Number(value & 0xffff_ffffn), at + 60 + index * 4);
  }
  body.writeUInt32LE(4096, at + 80);
}

const second = 1_000_000_000n;

function floorDivision(value: bigint, by: bigint): bigint {
  return value / by - (value % by < 0n ? 1n : 0n);
}

/** An open file or directory, of which the kernel keeps what it has read. */
export function openBody(handle: number, kind: 'file' | 'directory'): Buffer {
  const body = Buffer.alloc(16);
  body.writeBigUInt64LE(BigInt(handle), 0);
  body.writeUInt32LE(kind === 'file' ? keepCache : keepCache | keepDirectory, 8);
  return body;
}

/** A value of an attribute, or a list of their names; undefined when the caller's buffer is too small (ERANGE). `body` is that of the question. */
export function attributeBody(body: Buffer, value: Uint8Array): Uint8Array | undefined {
  const room = body.readUInt32LE(0);
  if (room > 0) return value.length <= room ? value : undefined;
  const size = Buffer.alloc(8);
  size.writeUInt32LE(value.length, 0);
  return size;
}

export const nameInAttributeRequest = 8;

export interface DirectoryEntry {
  readonly name: string;
  readonly inode: bigint;
  /** The upper four bits of its mode, as in `d_type`. */
  readonly type: number;
}

/** The entries from `offset` on that fit into `size` bytes. */
export function directoryBody(entries: readonly DirectoryEntry[], offset: number, size: number): Buffer {
  const parts: Buffer[] = [];
  let used = 0;
  for (let index = offset; index < entries.length; index++) {
    const { name, inode, type } = entries[index]!;
    const part = Buffer.alloc((24 + name.length + 7) & ~7);
    if (used + part.length > size) break;
    used += part.length;
    part.writeBigUInt64LE(inode, 0);
    part.writeBigUInt64LE(BigInt(index + 1), 8);
    part.writeUInt32LE(name.length, 16);
    part.writeUInt32LE(type, 20);
    part.write(name, 24, 'latin1');
    parts.push(part);
  }
  return Buffer.concat(parts);
}

/** The tree takes no space of its own. */
export function statisticsBody(): Buffer {
  const body = Buffer.alloc(80);
  body.writeUInt32LE(4096, 40);
  body.writeUInt32LE(255, 44);
  body.writeUInt32LE(4096, 48);
  return body;
}
