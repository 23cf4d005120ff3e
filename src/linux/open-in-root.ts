import { closeSync } from 'node:fs';
import { bind, check, pathBytes } from './libc.ts';

/** `openat2` has no wrapper in libc; its number is the same on every architecture. */
const syscall = bind('long syscall(long number, int dirfd, const void *path, void *how, size_t size)');
const open = bind('int open(const void *path, int flags)');
const openat2Number = 437;
const pathOnly = 0o10000000;
const directory = 0o200000;
const closeOnExec = 0o2000000;
const resolveInRoot = 0x10n;
const resolveBeneath = 0x08n;

/** A file held open by path only. `path` names exactly this file, whatever happens to its name meanwhile. */
export interface HeldPath extends Disposable {
  readonly path: string;
}

/**
 * Opens `name` in the tree at `root`, links followed as a process with that root would follow them (openat2(2) with
 * RESOLVE_IN_ROOT): safe also while others change the tree. Throws a SystemError.
 */
export function openInRoot(root: string, name: string): HeldPath {
  return openBelow(root, name, resolveInRoot);
}

/** The same, but EXDEV is thrown for a link that is absolute or leads out of the tree (RESOLVE_BENEATH). */
export function openBeneath(root: string, name: string): HeldPath {
  return openBelow(root, name, resolveBeneath);
}

function openBelow(root: string, name: string, resolve: bigint): HeldPath {
  const rootFd = check(open(pathBytes(root), pathOnly | directory | closeOnExec), 'open', root);
  try {
    const how = BigUint64Array.of(BigInt(pathOnly | closeOnExec), 0n, resolve);
    const relative = name.replace(/^\/+/, '') || '.';
    const result = syscall(openat2Number, rootFd, pathBytes(relative), how, how.byteLength);
    const fd = check(Number(result), 'openat2', name);
    return { path: `/proc/self/fd/${fd}`, [Symbol.dispose]: () => closeSync(fd) };
  } finally {
    closeSync(rootFd);
  }
}
