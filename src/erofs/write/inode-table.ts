import { inodeFields, inodeFormat, readTime, writeTime } from '../format/inode-fields.ts';
import { dataLayouts, inodeSize, typeMask } from '../format/layout.ts';
import { xattrBodySize, xattrCount } from '../format/xattr-body.ts';

/** An inode's number in a table. */
export type InodeId = number & { readonly __inode: true };

const permissions = 0o7777;

/**
 * The inodes of an image that is being written, as the image will have them: 64 bytes each, and where they are in it. That is all that is
 * kept of a file beside its names.
 */
export class InodeTable {
  #records = Buffer.alloc(inodeSize * 64);
  /** In bytes; 0 for those that have no place yet. */
  #positions = new Float64Array(64);
  #count = 0;

  get count(): number {
    return this.#count;
  }

  /** `mode`: with its type. The inode has one link. */
  add(mode: number): InodeId {
    if (this.#count === this.#positions.length) this.#grow();
    const id = this.#count++ as InodeId;
    const at = id * inodeSize;
    this.#records.writeUInt16LE(inodeFormat(dataLayouts.plain), at + inodeFields.format);
    this.#records.writeUInt16LE(mode, at + inodeFields.mode);
    this.#records.writeUInt32LE(this.#count, at + inodeFields.number);
    this.#records.writeUInt32LE(1, at + inodeFields.links);
    return id;
  }

  /** Writes the bytes of an inode to `target` at `at`. */
  copy(id: InodeId, target: Buffer, at: number): void {
    this.#records.copy(target, at, id * inodeSize, (id + 1) * inodeSize);
  }

  position(id: InodeId): number {
    return this.#positions[id]!;
  }

  setPosition(id: InodeId, position: number): void {
    this.#positions[id] = position;
  }

  mode(id: InodeId): number {
    return this.#records.readUInt16LE(id * inodeSize + inodeFields.mode);
  }

  /** Changes the permissions; the type stays. */
  setMode(id: InodeId, mode: number): void {
    const own = (this.mode(id) & typeMask) | (mode & permissions);
    this.#records.writeUInt16LE(own, id * inodeSize + inodeFields.mode);
  }

  uid(id: InodeId): number {
    return this.#records.readUInt32LE(id * inodeSize + inodeFields.uid);
  }

  gid(id: InodeId): number {
    return this.#records.readUInt32LE(id * inodeSize + inodeFields.gid);
  }

  setOwner(id: InodeId, uid: number, gid: number): void {
    this.#records.writeUInt32LE(uid, id * inodeSize + inodeFields.uid);
    this.#records.writeUInt32LE(gid, id * inodeSize + inodeFields.gid);
  }

  time(id: InodeId): bigint {
    return readTime(this.#records, id * inodeSize);
  }

  setTime(id: InodeId, time: bigint): void {
    writeTime(this.#records, id * inodeSize, time);
  }

  size(id: InodeId): number {
    const at = id * inodeSize + inodeFields.size;
    return this.#records.readUInt32LE(at) + this.#records.readUInt32LE(at + 4) * 2 ** 32;
  }

  layout(id: InodeId): number {
    return this.#records.readUInt16LE(id * inodeSize + inodeFields.format) >> 1;
  }

  /** What the field says that names the place of data, or a device. */
  place(id: InodeId): number {
    return this.#records.readUInt32LE(id * inodeSize + inodeFields.place);
  }

  /** `place`: see `inodeFields`. */
  setData(id: InodeId, layout: number, size: number, place: number): void {
    const at = id * inodeSize;
    this.#records.writeUInt16LE(inodeFormat(layout), at + inodeFields.format);
    this.#records.writeUInt32LE(size % 2 ** 32, at + inodeFields.size);
    this.#records.writeUInt32LE(Math.floor(size / 2 ** 32), at + inodeFields.size + 4);
    this.#records.writeUInt32LE(place, at + inodeFields.place);
  }

  /** Bytes of the attributes. */
  xattrSize(id: InodeId): number {
    return xattrBodySize(this.#records.readUInt16LE(id * inodeSize + inodeFields.xattrCount));
  }

  setXattrSize(id: InodeId, size: number): void {
    this.#records.writeUInt16LE(xattrCount(size), id * inodeSize + inodeFields.xattrCount);
  }

  links(id: InodeId): number {
    return this.#records.readUInt32LE(id * inodeSize + inodeFields.links);
  }

  setLinks(id: InodeId, links: number): void {
    this.#records.writeUInt32LE(links, id * inodeSize + inodeFields.links);
  }

  #grow(): void {
    const records = Buffer.alloc(this.#records.length * 2);
    this.#records.copy(records);
    this.#records = records;
    const positions = new Float64Array(this.#positions.length * 2);
    positions.set(this.#positions);
    this.#positions = positions;
  }
}
