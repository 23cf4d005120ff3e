import { randomBytes } from 'node:crypto';
import type { ByteString } from '../../base/text/byte-string.ts';
import { chunkMapShape, type ExtentList } from '../format/extent-list.ts';
import {
  dataLayouts,
  fitsInline,
  inodeSize,
  rootPosition,
  roundUp,
  superblockOffset,
  superblockSize,
} from '../format/layout.ts';
import { checkedSize, writeSuperblock } from '../format/superblock.ts';
import { decodeXattrs, xattrLimit } from '../format/xattr-body.ts';
import { DirectoryArea } from './directory-area.ts';
import { GrowingImageFile, type GrownData } from './growing-image-file.ts';
import { ImageOutput, type RecordPlace } from './image-output.ts';
import { type InodeId, InodeTable } from './inode-table.ts';
import type { TreeNames } from './tree-names.ts';

/** A map of chunks may have this many bytes, or this part of the bytes that it leads to. A file that needs more is very large, and nearly all holes. */
const largestMap = 1 << 20;
const largestMapShare = 1 / 256;
/** Bytes that are copied at once. */
const copySize = 1 << 20;
const none = Buffer.alloc(0);

/**
 * Writes an image: inodes are placed in it as they come, with their data, and directories at its end, when all names are known. What is kept of an inode is in
 * `inodes`; one that was placed, and changed after that, is written again by `finish`.
 */
export class ErofsWriter implements Disposable {
  readonly inodes = new InodeTable();
  readonly #output: ImageOutput;
  readonly #devices: readonly number[];
  /** Where the attributes of directories are until these are placed. */
  readonly #directoryXattrs = new Map<InodeId, number>();
  readonly #changed = new Set<InodeId>();
  #hasChunks = false;

  /** `devices`: how many blocks each of the other devices has. */
  constructor(file: string, blockSize: number, devices: readonly number[]) {
    this.#devices = devices;
    // Whatever attributes the root will have, there is room for them: a hole in the file.
    const start = rootPosition(devices.length) + inodeSize + xattrLimit + blockSize;
    this.#output = new ImageOutput(file, blockSize, start);
  }

  get blockSize(): number {
    return this.#output.blockSize;
  }

  /** Places an inode with all of its data. */
  placeData(id: InodeId, xattrs: Buffer, data: Uint8Array): void {
    if (data.length > 0 && fitsInline(xattrs.length, data.length, this.blockSize)) {
      this.inodes.setData(id, dataLayouts.inline, data.length, 0);
      this.#place(id, xattrs, data);
      return;
    }
    const address = data.length > 0 ? this.#output.appendData(data) : 0;
    this.inodes.setData(id, dataLayouts.plain, data.length, address);
    this.#place(id, xattrs, none);
  }

  /** Places an inode that has no data. `device`: its number, where it is one. */
  placeNode(id: InodeId, xattrs: Buffer, device = 0): void {
    this.inodes.setData(id, dataLayouts.plain, 0, device);
    this.#place(id, xattrs, none);
  }

  /** Begins the data of an inode. `finished` is called when it is all there, for `placeGrown`. */
  grow(finished: (data: GrownData) => void): GrowingImageFile {
    return new GrowingImageFile(this.#output, finished);
  }

  /** Places an inode whose data has grown. */
  placeGrown(id: InodeId, xattrs: Buffer, { extents, tail }: GrownData): void {
    if (extents.blocks === 0) {
      this.placeData(id, xattrs, tail);
      return;
    }
    const size = extents.blocks * this.blockSize + tail.length;
    if (tail.length > 0)
      extents.add(1 + Math.floor((tail.length - 1) / this.blockSize), this.#output.appendData(tail));
    this.placeExtents(id, xattrs, extents, size);
  }

  /** Places an inode whose data is somewhere: in this image, on other devices, or nowhere. */
  placeExtents(id: InodeId, xattrs: Buffer, extents: ExtentList, size: number): void {
    const address = extents.plainAddress ?? this.#densely(extents);
    if (address !== undefined) {
      this.inodes.setData(id, dataLayouts.plain, size, address);
      this.#place(id, xattrs, none);
      return;
    }
    const { map } = extents;
    this.#hasChunks = true;
    this.inodes.setData(id, dataLayouts.chunks, size, map.format);
    this.#placeWithMap(id, xattrs, map.size, map.width, (bytes, at) => map.write(bytes, at));
  }

  /** The attributes that an inode has, which is placed or a directory. */
  xattrs(id: InodeId): Map<string, ByteString> {
    const size = this.inodes.xattrSize(id);
    if (size === 0) return new Map();
    const at = this.#directoryXattrs.get(id) ?? this.inodes.position(id) + inodeSize;
    return decodeXattrs(this.#output.read(at, size));
  }

  /** Gives a directory its attributes. It is placed by `finish`. */
  setDirectoryXattrs(id: InodeId, xattrs: Buffer): void {
    this.inodes.setXattrSize(id, xattrs.length);
    if (xattrs.length > 0) this.#directoryXattrs.set(id, this.#output.keep(xattrs));
    else this.#directoryXattrs.delete(id);
  }

  /** Gives an inode that was placed other attributes, at another place. */
  replaceXattrs(id: InodeId, xattrs: Buffer): void {
    const { inodes } = this;
    const after = inodes.position(id) + inodeSize + inodes.xattrSize(id);
    const size = inodes.size(id);
    switch (inodes.layout(id)) {
      case dataLayouts.inline:
        this.placeData(id, xattrs, this.#output.read(after, size));
        return;
      case dataLayouts.chunks: {
        const { entries, width } = chunkMapShape(inodes.place(id), size, this.blockSize);
        const map = this.#output.read(roundUp(after, width), entries * width);
        this.#placeWithMap(id, xattrs, map.length, width, (bytes, at) => map.copy(bytes, at));
        return;
      }
      default:
        this.#place(id, xattrs, none);
    }
  }

  /** To be called when what `inodes` says of an inode was changed. */
  changed(id: InodeId): void {
    if (this.inodes.position(id) > 0) this.#changed.add(id);
  }

  /** The data of an inode that is not larger than a block: what a link says. */
  smallData(id: InodeId): Buffer {
    const { inodes } = this;
    const at =
      inodes.layout(id) === dataLayouts.inline
        ? inodes.position(id) + inodeSize + inodes.xattrSize(id)
        : inodes.place(id) * this.blockSize;
    return this.#output.read(at, inodes.size(id));
  }

  /** Writes the directories, whose inodes have no place yet, and the superblock, last of all. `count`: how many inodes have a name. */
  finish(names: TreeNames, count: number): void {
    const output = this.#output;
    const area = new DirectoryArea(names, this.inodes, {
      blockSize: this.blockSize,
      root: rootPosition(this.#devices.length),
      reserve: (blocks) => output.reserve(blocks),
    });
    const start = area.write({
      xattrs: (id) => {
        const at = this.#directoryXattrs.get(id);
        return at === undefined ? Buffer.alloc(0) : output.read(at, this.inodes.xattrSize(id));
      },
      put: (position, bytes) => output.writeAt(position, bytes),
    });
    output.flush();
    const record = Buffer.alloc(inodeSize);
    for (const id of this.#changed) {
      this.inodes.copy(id, record, 0);
      output.writeAt(this.inodes.position(id), record);
    }
    this.#changed.clear();
    const first = Buffer.alloc(Math.max(checkedSize(this.blockSize), start.length));
    start.copy(first);
    writeSuperblock(first, {
      blockSize: this.blockSize,
      blocks: output.blocks,
      inodes: count,
      root: rootPosition(this.#devices.length),
      uuid: randomBytes(16),
      hasChunks: this.#hasChunks,
      devices: this.#devices,
    });
    const whole = superblockOffset + superblockSize;
    output.writeAt(whole, first.subarray(whole));
    // What has no superblock is no image: that comes when all else is there.
    output.writeAt(superblockOffset, first.subarray(superblockOffset, whole));
  }

  [Symbol.dispose](): void {
    this.#output[Symbol.dispose]();
  }

  /** Puts an inode into the image, with its attributes and the data that lies there, too. */
  #place(id: InodeId, xattrs: Buffer, inline: Uint8Array): void {
    const { length } = inline;
    const place = this.#output.record({ xattrs: xattrs.length, inline: length, rest: length });
    if (length > 0) place.bytes.set(inline, place.at + inodeSize + xattrs.length);
    this.#setPlace(id, xattrs, place);
  }

  #placeWithMap(
    id: InodeId,
    xattrs: Buffer,
    size: number,
    width: number,
    write: (bytes: Buffer, at: number) => void,
  ): void {
    // An inode lies at a multiple of 32 bytes.
    const mapAt = roundUp(inodeSize + xattrs.length, width);
    const rest = mapAt + size - inodeSize - xattrs.length;
    const place = this.#output.record({ xattrs: xattrs.length, inline: 0, rest });
    write(place.bytes, place.at + mapAt);
    this.#setPlace(id, xattrs, place);
  }

  #setPlace(id: InodeId, xattrs: Buffer, { position, bytes, at }: RecordPlace): void {
    this.inodes.setXattrSize(id, xattrs.length);
    this.inodes.setPosition(id, position);
    this.inodes.copy(id, bytes, at);
    if (xattrs.length > 0) bytes.set(xattrs, at + inodeSize);
  }

  /**
   * Lays a file of few data and very many holes into blocks that follow each other, where its holes are holes of the image's file. Returns the first one's
   * address; undefined when the file has a map that is small enough.
   */
  #densely(extents: ExtentList): number | undefined {
    const { blockSize } = this;
    const { map } = extents;
    if (map.size <= largestMap || extents.extents.some(({ device }) => device !== 0)) return undefined;
    const held = extents.extents.reduce(
      (sum, { count, address }) => sum + (address === undefined ? 0 : count),
      0,
    );
    if (map.size <= held * blockSize * largestMapShare) return undefined;
    const first = this.#output.reserve(extents.blocks);
    for (const { block, count, address } of extents.extents) {
      if (address === undefined) continue;
      const [from, to, size] = [address, first + block, count].map((blocks) => blocks * blockSize) as [
        number,
        number,
        number,
      ];
      for (let done = 0; done < size; done += copySize) {
        const length = Math.min(copySize, size - done);
        this.#output.writeAt(to + done, this.#output.read(from + done, length));
      }
    }
    return first;
  }
}
