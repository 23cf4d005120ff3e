import { constants } from 'node:os';
import { SystemError } from '../../linux/libc.ts';

/** Where the fields of an inode are: the extended form, the only one that Kiln writes, since the other has no time of its own. */
export const inodeFields = {
  format: 0,
  xattrCount: 2,
  mode: 4,
  size: 8,
  /** The first block of plain data, the number of a device, or the format of a map of chunks. */
  place: 16,
  number: 20,
  uid: 24,
  gid: 28,
  seconds: 32,
  nanoseconds: 40,
  links: 44,
} as const;

const extended = 1;
const second = 1_000_000_000n;
const secondsLimit = 2n ** 63n - 1n;

export function inodeFormat(layout: number): number {
  return extended | (layout << 1);
}

/** Returns the data layout; undefined for an inode of another form. */
export function layoutOf(format: number): number | undefined {
  return format & extended && format < 16 ? format >> 1 : undefined;
}

/** Writes a time in nanoseconds since 1970. */
export function writeTime(inode: Buffer, at: number, time: bigint): void {
  const rest = ((time % second) + second) % second;
  const seconds = (time - rest) / second;
  if (seconds > secondsLimit || seconds < -secondsLimit)
    throw new SystemError('utimensat', constants.errno.EINVAL);
  inode.writeBigInt64LE(seconds, at + inodeFields.seconds);
  inode.writeUInt32LE(Number(rest), at + inodeFields.nanoseconds);
}

export function readTime(inode: Buffer, at: number): bigint {
  const seconds = inode.readBigInt64LE(at + inodeFields.seconds);
  return seconds * second + BigInt(inode.readUInt32LE(at + inodeFields.nanoseconds));
}

/** A device as the kernel keeps it in 32 bits, 12 of them for the major number. */
export function deviceNumber(major: number, minor: number): number {
  return ((minor & 0xff) | ((major & 0xfff) << 8) | ((minor & 0xf_ff00) << 12)) >>> 0;
}
