import { KilnError } from '../../base/errors.ts';
import { inodeFields, layoutOf, readTime } from '../format/inode-fields.ts';
import { fileTypes, inodeSize, typeMask } from '../format/layout.ts';
import { xattrBodySize } from '../format/xattr-body.ts';

/** An entry of an image. */
export interface ImageInode {
  /** Where it is in the image, in bytes; names of one file have it in common. */
  readonly position: number;
  /** With its type. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Bytes of its data: of a file, of what a link says, of the names in a directory. */
  readonly size: number;
  /** In nanoseconds since 1970. */
  readonly time: bigint;
  readonly links: number;
  /** The number of a device; 0 for all else. */
  readonly device: number;
  readonly layout: number;
  /** See `inodeFields.place`. */
  readonly place: number;
  readonly xattrSize: number;
}

/** Reads an inode, of which `bytes` are the 64 at `position`. Throws `data_loss`. */
export function parseInode(bytes: Buffer, position: number): ImageInode {
  const layout = layoutOf(bytes.readUInt16LE(inodeFields.format));
  const mode = bytes.readUInt16LE(inodeFields.mode);
  const size = Number(bytes.readBigUInt64LE(inodeFields.size));
  const type = mode & typeMask;
  const isKnown = Object.values<number>(fileTypes).includes(type);
  if (layout === undefined || !isKnown || !Number.isSafeInteger(size) || bytes.length < inodeSize) {
    throw new KilnError('data_loss', `an EROFS image has no inode at byte ${position}`);
  }
  const isDevice = type === fileTypes['character-device'] || type === fileTypes['block-device'];
  const place = bytes.readUInt32LE(inodeFields.place);
  return {
    position,
    mode,
    uid: bytes.readUInt32LE(inodeFields.uid),
    gid: bytes.readUInt32LE(inodeFields.gid),
    size,
    time: readTime(bytes, 0),
    links: bytes.readUInt32LE(inodeFields.links),
    device: isDevice ? place : 0,
    layout,
    place,
    xattrSize: xattrBodySize(bytes.readUInt16LE(inodeFields.xattrCount)),
  };
}
