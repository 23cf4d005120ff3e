import { lstatSync, readlinkSync } from 'node:fs';
import path from 'node:path';
import { errnoOf, KilnError } from '../base/errors.ts';
import { followLinks } from '../base/rooted-path.ts';
import type { OciMount } from './oci-mount.ts';

/** Where the kernel shows itself: who could mount something there could show a process, and its runtime, what is not so. */
const kernelFiles = ['/proc', '/sys'];

/** No runtime reads what is in `/sys`, and steps that start an init system want a tmpfs in it. */
const closed = '/proc';

/** Facts about the machine that may be shown differently, the same as runc allows. */
const replaceable: ReadonlySet<string> = new Set([
  '/proc/cpuinfo',
  '/proc/diskstats',
  '/proc/loadavg',
  '/proc/meminfo',
  '/proc/slabinfo',
  '/proc/stat',
  '/proc/swaps',
  '/proc/sys/crypto/fips_enabled',
  '/proc/sys/kernel/ns_last_pid',
  '/proc/uptime',
]);

/**
 * Refuses mounts over the root, /proc or /sys, or in /proc, wherever links in the tree at `rootfs` or in what was mounted
 * before lead. Runtimes do not agree on it: crun mounts there. Throws `invalid_argument`, or `failed_precondition` for a tree in
 * which a link is in the place of these directories.
 */
export function refuseOverKernelFiles(rootfs: string, mounts: readonly OciMount[]): void {
  for (const directory of kernelFiles) {
    if (lstatSync(path.join(rootfs, directory), { throwIfNoEntry: false })?.isSymbolicLink()) {
      throw new KilnError('failed_precondition', `${directory} of the file system is a symbolic link`, {
        hint: 'make it a directory, for what the kernel has to show there',
      });
    }
  }
  for (const [index, { destination }] of mounts.entries()) {
    const place = placeOf(destination, rootfs, mounts.slice(0, index));
    if (place !== '/' && !kernelFiles.includes(place) && !isIn(place, closed)) continue;
    if (replaceable.has(place)) continue;
    const through = place === destination ? '' : `, where ${destination} leads`;
    throw new KilnError('invalid_argument', `cannot mount over ${place}${through}`, {
      hint: 'choose another target for the mount',
    });
  }
}

/** Where a path leads in a container that has these mounts. */
function placeOf(name: string, rootfs: string, mounts: readonly OciMount[]): string {
  const parts = followLinks(name, (names) => {
    const at = `/${names.join('/')}`;
    const over = mounts.findLast(({ destination }) => isIn(at, destination));
    if (!over) return linkAt(path.join(rootfs, at));
    return over.type === 'bind'
      ? linkAt(path.join(over.source, at.slice(over.destination.length)))
      : undefined;
  });
  return `/${parts.join('/')}`;
}

function isIn(name: string, directory: string): boolean {
  return name === directory || name.startsWith(`${directory}/`);
}

function linkAt(file: string): string | undefined {
  try {
    return readlinkSync(file);
  } catch (error) {
    if (['EINVAL', 'ENOENT', 'ENOTDIR'].includes(errnoOf(error) ?? '')) return undefined;
    throw error;
  }
}
