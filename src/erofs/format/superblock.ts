import { KilnError } from '../../base/errors.ts';
import { crc32c } from './crc32c.ts';
import {
  compatibleFeatures,
  deviceSlotSize,
  deviceTableOffset,
  incompatibleFeatures,
  inodeUnit,
  magic,
  superblockOffset,
} from './layout.ts';

/** What an image says about itself. */
export interface Superblock {
  /** Bytes of a block: a power of two from 512 to 4096. */
  readonly blockSize: number;
  /** Blocks of the image, without those of its devices. */
  readonly blocks: number;
  readonly inodes: number;
  /** Where the root's inode is, in bytes. */
  readonly root: number;
  /** 16 bytes. */
  readonly uuid: Uint8Array;
  /** Whether files have maps of chunks. */
  readonly hasChunks: boolean;
  /** How many blocks each device has, in the order in which a mount gets them. A map counts them from 1. */
  readonly devices: readonly number[];
}

const fields = {
  checksum: superblockOffset + 4,
  compatible: superblockOffset + 8,
  blockBits: superblockOffset + 12,
  root: superblockOffset + 14,
  inodes: superblockOffset + 16,
  blocks: superblockOffset + 36,
  metadataStart: superblockOffset + 40,
  uuid: superblockOffset + 48,
  incompatible: superblockOffset + 80,
  deviceCount: superblockOffset + 86,
  deviceTable: superblockOffset + 88,
};
/** Of a slot in the table of devices, after a tag that nobody needs. */
const deviceBlocks = 64;

/** Returns how many of the first bytes of an image count for its checksum. */
export function checkedSize(blockSize: number): number {
  return superblockOffset + (blockSize > superblockOffset ? blockSize - superblockOffset : blockSize);
}

/** Writes superblock and table of devices into `start`, the first bytes of an image; all else in the first `checkedSize` of them is there already. */
export function writeSuperblock(start: Buffer, superblock: Superblock): void {
  start.writeUInt32LE(magic, superblockOffset);
  start.writeUInt32LE(compatibleFeatures.checksum | compatibleFeatures.modificationTimes, fields.compatible);
  start[fields.blockBits] = Math.log2(superblock.blockSize);
  start.writeUInt16LE(superblock.root / inodeUnit, fields.root);
  start.writeBigUInt64LE(BigInt(superblock.inodes), fields.inodes);
  start.writeUInt32LE(superblock.blocks, fields.blocks);
  start.set(superblock.uuid, fields.uuid);
  const { devices, hasChunks } = superblock;
  const features =
    (hasChunks ? incompatibleFeatures.chunks : 0) | (devices.length > 0 ? incompatibleFeatures.devices : 0);
  start.writeUInt32LE(features, fields.incompatible);
  start.writeUInt16LE(devices.length, fields.deviceCount);
  start.writeUInt16LE(devices.length > 0 ? deviceTableOffset / deviceSlotSize : 0, fields.deviceTable);
  for (const [index, blocks] of devices.entries()) {
    start.writeUInt32LE(blocks, deviceTableOffset + index * deviceSlotSize + deviceBlocks);
  }
  start.writeUInt32LE(checksumOf(start, superblock.blockSize), fields.checksum);
}

/**
 * Reads the first bytes of an image that Kiln wrote. `readMore` gets some more of them, where the table of devices is long. Throws `data_loss` for what is
 * none, or was not written to its end.
 */
export function parseSuperblock(start: Buffer, readMore: (size: number) => Buffer): Superblock {
  const refuse = (reason: string): never => {
    throw new KilnError('data_loss', `this is no whole EROFS image: ${reason}`);
  };
  if (start.length < deviceTableOffset || start.readUInt32LE(superblockOffset) !== magic)
    refuse('no superblock');
  const blockBits = start[fields.blockBits]!;
  if (blockBits < 9 || blockBits > 12) refuse(`blocks of 2^${blockBits} bytes`);
  const blockSize = 2 ** blockBits;
  if (start.length < checkedSize(blockSize)) refuse('its first block is cut off');
  if (checksumOf(start, blockSize) !== start.readUInt32LE(fields.checksum)) refuse('a wrong checksum');
  const known = incompatibleFeatures.chunks | incompatibleFeatures.devices;
  const features = start.readUInt32LE(fields.incompatible);
  if ((features & ~known) !== 0 || start.readUInt32LE(fields.metadataStart) !== 0) refuse('made by others');
  const count = start.readUInt16LE(fields.deviceCount);
  const tableEnd = deviceTableOffset + count * deviceSlotSize;
  const table = tableEnd > start.length ? readMore(tableEnd) : start;
  if (table.length < tableEnd) refuse('its table of devices is cut off');
  return {
    blockSize,
    blocks: start.readUInt32LE(fields.blocks),
    inodes: Number(start.readBigUInt64LE(fields.inodes)),
    root: start.readUInt16LE(fields.root) * inodeUnit,
    uuid: Uint8Array.prototype.slice.call(start, fields.uuid, fields.uuid + 16),
    hasChunks: (features & incompatibleFeatures.chunks) !== 0,
    devices: Array.from({ length: count }, (_, index) =>
      table.readUInt32LE(deviceTableOffset + index * deviceSlotSize + deviceBlocks),
    ),
  };
}

/** Without the checksum's own bytes. */
function checksumOf(start: Buffer, blockSize: number): number {
  const checked = Buffer.from(start.subarray(superblockOffset, checkedSize(blockSize)));
  checked.fill(0, 4, 8);
  return crc32c(checked);
}
