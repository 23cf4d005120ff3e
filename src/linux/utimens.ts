import { bind, check, type PathLike, pathBytes } from './libc.ts';

const utimensat = bind('int utimensat(int dirfd, const void *path, const void *times, int flags)');

const currentDirectory = -100;
const symlinkNoFollow = 0x100;
/** The `tv_nsec` that leaves a time as it is. */
const omit = 0x3ffffffen;
const second = 1_000_000_000n;

/** Reused by the synchronous calls of this thread. */
const times = new BigInt64Array(4);

function put(index: 0 | 2, nanoseconds: bigint | undefined): void {
  const rest = nanoseconds === undefined ? omit : ((nanoseconds % second) + second) % second;
  times[index] = nanoseconds === undefined ? 0n : (nanoseconds - rest) / second;
  times[index + 1] = rest;
}

/**
 * Sets access and modification time in nanoseconds since 1970 (negative before); undefined leaves one as it is.
 * A symbolic link's own times are set, not its target's.
 */
export function utimens(path: PathLike, atime: bigint | undefined, mtime: bigint | undefined): void {
  put(0, atime);
  put(2, mtime);
  check(utimensat(currentDirectory, pathBytes(path), times, symlinkNoFollow), 'utimensat', path);
}
