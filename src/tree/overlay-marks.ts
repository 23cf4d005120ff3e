import type { BigIntStats } from 'node:fs';
import type { PathLike } from '../linux/libc.ts';
import { makeDevice, mknod } from '../linux/mknod.ts';
import { getXattr, removeXattr, setXattr } from '../linux/xattr.ts';

/**
 * What overlayfs reads in the directories that it mounts, and takes for its own (the kernel's `overlayfs.rst`): a character device
 * 0/0 hides a name, attributes in its namespace say the rest. Mounted as `mountOverlay` does, it knows the namespace
 * `trusted.overlay.` and acts on one attribute, `opaque`. One mounted with `userxattr`, in a user namespace, has `user.overlay.` instead.
 *
 * A mark in a layer says something about the layer and is no part of the tree. So nothing that comes from outside may
 * bring one in, and what reads layers without a mount must know the marks that the kernel does, and no others.
 */
export const opaqueAttribute = 'trusted.overlay.opaque';
export const opaqueValue = 'y';
const ownPrefix = 'trusted.overlay.';
const userPrefix = 'user.overlay.';
const characterDevice = 0o020000;
const typeMask = 0o170000n;

/** Whether this is the device that overlayfs takes for a deletion, and lets nobody make. */
export function isWhiteout({ mode, rdev }: Pick<BigIntStats, 'mode' | 'rdev'>): boolean {
  return (mode & typeMask) === BigInt(characterDevice) && rdev === 0n;
}

/** The same of a device that is still to be made; the kernel takes 32 bits of its number. */
export function isWhiteoutNumber(device: bigint): boolean {
  return (device & 0xffff_ffffn) === 0n;
}

export function makeWhiteout(path: PathLike): void {
  mknod(path, characterDevice, makeDevice(0, 0));
}

/** Whether a directory of a layer hides what the layers below have at its place. */
export function isOpaque(directory: PathLike): boolean {
  return getXattr(directory, opaqueAttribute)?.toString('latin1') === opaqueValue;
}

export function makeOpaque(directory: PathLike): void {
  setXattr(directory, opaqueAttribute, Buffer.from(opaqueValue));
}

export function clearOpaque(directory: PathLike): void {
  removeXattr(directory, opaqueAttribute);
}

/** Whether an attribute in a layer is overlayfs's: a mount of the layer does not show it. */
export function isOverlayMark(name: string): boolean {
  return name.startsWith(ownPrefix);
}

/**
 * Whether an attribute is a mark for any overlay, here or where a tree may be taken to: copies and archives leave it out. On a
 * mount, those of users are attributes like others, so they count as content of a tree that has them.
 */
export function isForeignMark(name: string): boolean {
  return name.startsWith(ownPrefix) || name.startsWith(userPrefix);
}
