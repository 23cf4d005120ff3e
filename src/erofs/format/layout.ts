/**
 * Numbers of the EROFS format, version 1 (the kernel's `Documentation/filesystems/erofs.rst` and `erofs_fs.h`). All fields are little endian.
 *
 *   0      not used
 *   1024   the superblock, 128 bytes
 *   1152   the table of devices, 128 bytes each
 *   then   the inode of the root, with its attributes
 *   then   blocks: data, and records of inodes anywhere between them
 *
 * An inode is named by a number (nid): its place in the image, in units of 32 bytes, since the area of metadata begins at block 0 here. That of the root has 16 bits.
 */
export const superblockOffset = 1024;
export const superblockSize = 128;
export const magic = 0xe0f5_e1e2;
export const deviceSlotSize = 128;
export const deviceTableOffset = superblockOffset + superblockSize;

/** Bytes between places that an inode can have. */
export const inodeUnit = 32;
export const inodeSize = 64;

export const nameLimit = 255;
/** What addresses blocks has 32 bits, and the last number means a hole. */
export const holeAddress = 0xffff_ffff;
export const blockLimit = 0xffff_ffff;

/** The bits of a mode that say what an entry is. */
export const typeMask = 0o170000;
export const fileTypes = {
  fifo: 0o010000,
  'character-device': 0o020000,
  directory: 0o040000,
  'block-device': 0o060000,
  file: 0o100000,
  symlink: 0o120000,
  socket: 0o140000,
} as const;

/** How an inode says where its data is. */
export const dataLayouts = {
  /** Blocks one after the other. */
  plain: 0,
  /** The same, with what does not fill the last block after the inode. Only data that lies there whole is written that way here. */
  inline: 2,
  /** A map after the inode. */
  chunks: 4,
} as const;

export const compatibleFeatures = { checksum: 0x1, modificationTimes: 0x2 } as const;
export const incompatibleFeatures = { chunks: 0x4, devices: 0x8 } as const;

export function roundUp(value: number, unit: number): number {
  return Math.ceil(value / unit) * unit;
}

/** Returns the place of the root's inode. */
export function rootPosition(devices: number): number {
  return roundUp(deviceTableOffset + devices * deviceSlotSize, inodeUnit);
}

/**
 * Returns where a record can begin, at `from` or after it: an inode with its attributes and inline data, which a kernel reads only if it lies within a block. So the
 * caller asks only for what fits (`fitsInline`). `xattrs`, `inline`: their bytes.
 */
export function recordPosition(from: number, xattrs: number, inline: number, blockSize: number): number {
  const start = roundUp(from, inodeUnit);
  const data = start + inodeSize + xattrs;
  const isSplit =
    (start % blockSize) + inodeSize > blockSize || (inline > 0 && (data % blockSize) + inline > blockSize);
  return isSplit ? roundUp(start, blockSize) : start;
}

/** Whether data can lie after its inode in some block. */
export function fitsInline(xattrs: number, inline: number, blockSize: number): boolean {
  return ((inodeSize + xattrs) % blockSize) + inline <= blockSize;
}
