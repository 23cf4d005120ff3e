import { bind, check, type PathLike, pathBytes } from './libc.ts';

const statvfs = bind('int statvfs(const void *path, void *buffer)');

/** The structure is nine words of sizes and counts, then the flags; on 64-bit machines, glibc and musl agree. */
const flagsAt = 9 * 8;
const structureSize = 256;
const bits = { nosuid: 2, nodev: 4, noexec: 8 } as const;

/** Which restrictions the mount has that shows `path`, in the words of mount options. */
export function restrictionsOfMount(path: PathLike): readonly (keyof typeof bits)[] {
  const buffer = Buffer.alloc(structureSize);
  check(statvfs(pathBytes(path), buffer), 'statvfs', path);
  const flags = Number(buffer.readBigUInt64LE(flagsAt));
  return (['nosuid', 'nodev', 'noexec'] as const).filter((name) => (flags & bits[name]) !== 0);
}
