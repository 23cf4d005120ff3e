import { lstatSync, readdirSync } from 'node:fs';
import type { TaskContext } from '../base/thread-pool.ts';
import { type BytePath, bytePath, pathBuffer } from './byte-path.ts';
import type { SnapshotUsage } from './snapshot.ts';

const blockSize = 512;

/** Space and inodes of everything in `dirs`; a file with several links counts once. What is missing counts nothing. */
export default function measureTask(dirs: readonly string[], context: TaskContext): SnapshotUsage {
  let size = 0;
  const linked = new Set<number>();
  let inodes = 0;
  const visit = (path: BytePath): void => {
    context.throwIfAborted();
    const stats = lstatSync(pathBuffer(path), { throwIfNoEntry: false });
    if (!stats) return;
    if (stats.nlink > 1 && !stats.isDirectory()) {
      if (linked.has(stats.ino)) return;
      linked.add(stats.ino);
    }
    size += stats.blocks * blockSize;
    inodes++;
    if (!stats.isDirectory()) return;
    for (const name of readdirSync(pathBuffer(path), { encoding: 'latin1' })) visit(`${path}/${name}`);
  };
  for (const dir of dirs) visit(bytePath(dir));
  return { size, inodes };
}
