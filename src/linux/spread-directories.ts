import { closeSync, openSync } from 'node:fs';
import { bind } from './libc.ts';

const ioctl = bind('int ioctl(int fd, unsigned long request, void *argument)');

/** `FS_IOC_GETFLAGS` and `FS_IOC_SETFLAGS` of ioctl_iflags(2), on machines with 64 bits. */
const getFlags = 0x80086601;
const setFlags = 0x40086602;
/** `FS_TOPDIR_FL`. */
const topOfHierarchies = 0x20000;

/**
 * Tells the file system that the directories in `directory` have nothing to do with each other (`chattr +T`): ext2, ext3 and ext4 put each of them, with what is in
 * it, where much is free, instead of all beside each other. Other file systems do not know that, and nothing changes.
 */
export function spreadDirectories(directory: string): void {
  const fd = openSync(directory, 'r');
  try {
    const flags = new Uint32Array(1);
    if (ioctl(fd, getFlags, flags) === -1) return;
    flags[0]! |= topOfHierarchies;
    ioctl(fd, setFlags, flags);
  } finally {
    closeSync(fd);
  }
}
