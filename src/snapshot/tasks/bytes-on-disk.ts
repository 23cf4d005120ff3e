import type { Stats } from 'node:fs';

const unitOfBlocks = 512;

/** What a file takes: its allocated blocks. While data is written back ext4 counts it twice, so never more than its size can take. */
export function bytesOnDisk(stats: Stats): number {
  const allocated = stats.blocks * unitOfBlocks;
  if (!stats.isFile()) return allocated;
  return Math.min(allocated, Math.ceil(stats.size / stats.blksize) * stats.blksize);
}
