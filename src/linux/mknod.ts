import { bind, check, type PathLike, pathBytes } from './libc.ts';

const libcMknod = bind('int mknod(const void *path, uint32_t mode, uint64_t dev)');

/** A device number of its two parts, in the kernel's (and Node's `stat.rdev`) encoding. */
export function makeDevice(major: number, minor: number): bigint {
  const [high, low] = [BigInt(major), BigInt(minor)];
  return (
    (low & 0xffn) | ((high & 0xfffn) << 8n) | ((low & 0xffffff00n) << 12n) | ((high & 0xfffff000n) << 32n)
  );
}

export function majorOf(device: number | bigint): number {
  const value = BigInt(device);
  return Number(((value >> 8n) & 0xfffn) | ((value >> 32n) & 0xfffff000n));
}

export function minorOf(device: number | bigint): number {
  const value = BigInt(device);
  return Number((value & 0xffn) | ((value >> 12n) & 0xffffff00n));
}

/**
 * Makes a device, fifo, socket or empty file. `mode` holds the type and the permission bits (the process's umask
 * applies); `device` counts for character and block devices only.
 */
export function mknod(path: PathLike, mode: number, device: number | bigint = 0): void {
  check(libcMknod(pathBytes(path), mode, BigInt(device)), 'mknod', path);
}
