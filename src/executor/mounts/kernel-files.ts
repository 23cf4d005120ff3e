import { lstatSync, readlinkSync } from 'node:fs';
import path from 'node:path';
import { errnoOf, KilnError } from '../../base/errors.ts';
import { followLinks } from '../../base/rooted-path.ts';
import type { OciMount } from './oci-mount.ts';

/** Where the kernel shows its state: a mount there could show false facts to a process and its runtime. */
const kernelFiles = ['/proc', '/sys'];

/** Mounts in this one are refused, too. In `/sys` runtimes read nothing, and some steps need a tmpfs. */
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
  const before = new Map<string, MountInOrder>();
  for (const [index, mount] of mounts.entries()) {
    const { destination } = mount;
    const place = placeOf(destination, rootfs, before);
    before.set(destination, { mount, index });
    if (place !== '/' && !kernelFiles.includes(place) && !isIn(place, closed)) continue;
    if (replaceable.has(place)) continue;
    const through = place === destination ? '' : `, where ${destination} leads`;
    throw new KilnError('invalid_argument', `cannot mount over ${place}${through}`, {
      hint: 'choose another target for the mount',
    });
  }
}

interface MountInOrder {
  readonly mount: OciMount;
  readonly index: number;
}

/** Where a path leads in a container that has these mounts, by destination. */
function placeOf(name: string, rootfs: string, mounts: ReadonlyMap<string, MountInOrder>): string {
  const parts = followLinks(name, (names) => {
    const at = `/${names.join('/')}`;
    const over = lastOver(names, mounts);
    if (!over) return linkAt(path.join(rootfs, at));
    return over.type === 'bind'
      ? linkAt(path.join(over.source, at.slice(over.destination.length)))
      : undefined;
  });
  return `/${parts.join('/')}`;
}

/** The mount that shows what is at a path: the last of those that lie on the way to it. */
function lastOver(names: readonly string[], mounts: ReadonlyMap<string, MountInOrder>): OciMount | undefined {
  let last: MountInOrder | undefined;
  let at = '';
  for (const name of names) {
    at += `/${name}`;
    const found = mounts.get(at);
    if (found && (!last || found.index > last.index)) last = found;
  }
  return last?.mount;
}

function isIn(name: string, directory: string): boolean {
  return name === directory || name.startsWith(`${directory}/`);
}

function linkAt(file: string): string | undefined {
  // Most paths are no links, and an error for each would take most of the time.
  if (!lstatSync(file, { throwIfNoEntry: false })?.isSymbolicLink()) return undefined;
  try {
    return readlinkSync(file);
  } catch (error) {
    // Another step may change a shared mount meanwhile.
    if (['EINVAL', 'ENOENT', 'ENOTDIR'].includes(errnoOf(error) ?? '')) return undefined;
    throw error;
  }
}
