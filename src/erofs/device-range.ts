import { KilnError } from '../base/errors.ts';
import { ExtentList } from './format/extent-list.ts';
import type { ErofsImage } from './read/erofs-image.ts';
import type { ImageInode } from './read/image-inode.ts';

/** Bytes of a file: they lie on a device, or are zeros that lie nowhere. */
export interface DeviceRange {
  readonly size: number;
  /** Without it, a hole. `index` counts from 0; `offset` is in bytes. */
  readonly on?: { readonly index: number; readonly offset: number };
}

/**
 * Returns where the data of a file of an image is, for images to which that image is a device. `deviceOf` gives the index that it has there (0), and those of its own
 * devices, which it counts from 1. Undefined for data that lies with its inode: nothing can refer to that.
 */
export function imageRanges(
  image: ErofsImage,
  inode: ImageInode,
  deviceOf: (device: number) => number,
): readonly DeviceRange[] | undefined {
  const { extents, inline } = image.data(inode);
  if (inline) return undefined;
  const { blockSize } = image.superblock;
  return extents.map(({ block, count, address, device }) => {
    const size = Math.min(count * blockSize, inode.size - block * blockSize);
    return address === undefined
      ? { size }
      : { size, on: { index: deviceOf(device), offset: address * blockSize } };
  });
}

/**
 * Returns ranges, which follow each other in a file, as blocks. Throws `invalid_argument` where one begins within a block, or ends beyond its device; only
 * the last one may end within a block.
 */
export function deviceExtents(
  ranges: readonly DeviceRange[],
  devices: readonly number[],
  blockSize: number,
): { readonly extents: ExtentList; readonly size: number } {
  const extents = new ExtentList();
  let size = 0;
  for (const range of ranges) {
    const { on } = range;
    const isAligned = size % blockSize === 0 && (on?.offset ?? 0) % blockSize === 0;
    const isThere = on === undefined || on.offset + range.size <= (devices[on.index] ?? -1);
    if (!isAligned || !isThere) {
      const place = on === undefined ? 'a hole' : `byte ${on.offset} of device ${on.index}`;
      const problem = isAligned
        ? 'is not on the device'
        : `does not begin with a block of ${blockSize} bytes`;
      throw new KilnError(
        'invalid_argument',
        `a range of a file, ${range.size} bytes at ${place}, ${problem}`,
      );
    }
    const blocks = Math.ceil(range.size / blockSize);
    extents.add(
      blocks,
      on === undefined ? undefined : on.offset / blockSize,
      on === undefined ? 0 : on.index + 1,
    );
    size += range.size;
  }
  return { extents, size };
}
