import { holeAddress } from './layout.ts';

/** Where the blocks of a file lie that follow each other. */
export interface Extent {
  /** The first one, counted from the beginning of the file. */
  readonly block: number;
  readonly count: number;
  /** Where it is; undefined for zeros that lie nowhere. */
  readonly address: number | undefined;
  /** 0: in the image itself; else the device, counted from 1. */
  readonly device: number;
}

const indexesFlag = 0x20;
const largestChunkBits = 31;
const widthOf = { addresses: 4, indexes: 8 } as const;

/** The blocks of a file from its beginning, as they came; neighbours that fit together are one extent. */
export class ExtentList {
  readonly #extents: Extent[] = [];
  #blocks = 0;

  /** How many blocks of the file are in it. */
  get blocks(): number {
    return this.#blocks;
  }

  get extents(): readonly Extent[] {
    return this.#extents;
  }

  /** Adds the next blocks of the file. */
  add(count: number, address: number | undefined, device = 0): void {
    if (count === 0) return;
    const last = this.#extents.at(-1);
    const follows =
      last !== undefined &&
      last.device === device &&
      (last.address === undefined ? address === undefined : address === last.address + last.count);
    if (follows) this.#extents[this.#extents.length - 1] = { ...last, count: last.count + count };
    else this.#extents.push({ block: this.#blocks, count, address, device });
    this.#blocks += count;
  }

  /** The address of the first block, if all lie one after the other in the image itself. Undefined without any. */
  get plainAddress(): number | undefined {
    const [first] = this.#extents;
    return this.#extents.length === 1 && first!.device === 0 ? first!.address : undefined;
  }

  /** How a map of chunks says it: in chunks as large as the extents allow, addresses alone where no device is named. */
  get map(): ChunkMap {
    return new ChunkMap(this.#extents, this.#blocks);
  }
}

/** A map of chunks, each of 2^`bits` blocks. */
export class ChunkMap {
  readonly #extents: readonly Extent[];
  readonly #hasDevices: boolean;
  readonly bits: number;
  readonly entries: number;

  constructor(extents: readonly Extent[], blocks: number) {
    this.#extents = extents;
    this.#hasDevices = extents.some(({ device }) => device !== 0);
    let bits = Math.min(Math.ceil(Math.log2(Math.max(blocks, 1))), largestChunkBits);
    // All but the last extent end where the next one begins.
    for (const { block } of extents) {
      while (bits > 0 && block % 2 ** bits !== 0) bits--;
    }
    this.bits = bits;
    this.entries = Math.ceil(blocks / 2 ** bits);
  }

  /** What the inode says. */
  get format(): number {
    return this.bits | (this.#hasDevices ? indexesFlag : 0);
  }

  /** Bytes of an entry; the map begins at a multiple of it. */
  get width(): number {
    return this.#hasDevices ? widthOf.indexes : widthOf.addresses;
  }

  get size(): number {
    return this.entries * this.width;
  }

  write(target: Buffer, at: number): void {
    const chunk = 2 ** this.bits;
    for (const { block, count, address, device } of this.#extents) {
      let place = at + (block / chunk) * this.width;
      for (let done = 0; done < count; done += chunk) {
        if (this.#hasDevices) target.writeUInt16LE(device, place + 2);
        target.writeUInt32LE(address === undefined ? holeAddress : address + done, place + this.width - 4);
        place += this.width;
      }
    }
  }
}

/** Reads a map into extents. `format`: what the inode says; `size`: bytes of the file. */
export function chunkMapShape(
  format: number,
  size: number,
  blockSize: number,
): { readonly chunkBlocks: number; readonly width: number; readonly entries: number } {
  const chunkBlocks = 2 ** (format & 0x1f);
  const width = format & indexesFlag ? widthOf.indexes : widthOf.addresses;
  return { chunkBlocks, width, entries: Math.ceil(size / (chunkBlocks * blockSize)) };
}

export function parseChunkMap(
  map: Buffer,
  format: number,
  size: number,
  blockSize: number,
): readonly Extent[] {
  const { chunkBlocks, width, entries } = chunkMapShape(format, size, blockSize);
  const list = new ExtentList();
  const blocks = Math.ceil(size / blockSize);
  for (let entry = 0; entry < entries; entry++) {
    const place = entry * width;
    const address = map.readUInt32LE(place + width - 4);
    const device = width === widthOf.indexes ? map.readUInt16LE(place + 2) : 0;
    const count = Math.min(chunkBlocks, blocks - entry * chunkBlocks);
    if (address === holeAddress) list.add(count, undefined);
    else list.add(count, address, device);
  }
  return list.extents;
}
