import type { BigIntStats } from 'node:fs';
import { makeDevice, mknod } from '../linux/mknod.ts';
import { getXattr, setXattr } from '../linux/xattr.ts';
import { type BytePath, pathBuffer } from './byte-path.ts';

/**
 * How a layer directory says what it hides (the kernel's overlayfs documentation, "whiteouts and opaque directories"):
 * a character device 0/0 hides the name below, the attribute `overlay.opaque` everything below in the directory.
 */
const opaqueAttribute = 'trusted.overlay.opaque';
const internalPrefixes = ['trusted.overlay.', 'user.overlay.'] as const;
const characterDevice = 0o020000;
const typeMask = 0o170000n;

export function isWhiteout(stats: BigIntStats): boolean {
  return (stats.mode & typeMask) === BigInt(characterDevice) && stats.rdev === 0n;
}

export function makeWhiteout(path: BytePath): void {
  mknod(pathBuffer(path), characterDevice, makeDevice(0, 0));
}

export function isOpaque(directory: BytePath): boolean {
  return getXattr(pathBuffer(directory), opaqueAttribute)?.[0] === 'y'.charCodeAt(0);
}

export function makeOpaque(directory: BytePath): void {
  setXattr(pathBuffer(directory), opaqueAttribute, Buffer.from('y'));
}

/** Whether an extended attribute is overlayfs's own and not part of the tree it shows. */
export function isOverlayAttribute(name: string): boolean {
  return internalPrefixes.some((prefix) => name.startsWith(prefix));
}
