import { lstatSync, readdirSync, type Stats } from 'node:fs';
import { type ByteString, toByteString, toSystemPath } from '../../base/text/byte-string.ts';
import type { TaskContext } from '../../base/threads/task.ts';
import type { SnapshotUsage } from '../snapshot.ts';
import { bytesOnDisk } from './bytes-on-disk.ts';

/** Allocated bytes and inodes of whole directories; a file with several names counts once. One that is not there takes nothing. */
export default function measureTask(
  dirs: readonly string[],
  context: Pick<TaskContext, 'throwIfAborted'>,
): SnapshotUsage[] {
  return dirs.map((dir) => {
    const usage = { size: 0, inodes: 0 };
    const withNames = new Set<number>();
    const root = toByteString(dir);
    const top = lstatSync(toSystemPath(root), { throwIfNoEntry: false });
    const visit = (path: ByteString, stats: Stats): void => {
      context.throwIfAborted();
      if (stats.nlink > 1 && !stats.isDirectory()) {
        if (withNames.has(stats.ino)) return;
        withNames.add(stats.ino);
      }
      usage.size += bytesOnDisk(stats);
      usage.inodes++;
      // What is mounted takes nothing here.
      if (!stats.isDirectory() || stats.dev !== top?.dev) return;
      for (const name of readdirSync(toSystemPath(path), { encoding: 'latin1' })) {
        const entry = lstatSync(toSystemPath(`${path}/${name}`), { throwIfNoEntry: false });
        if (entry) visit(`${path}/${name}`, entry);
      }
    };
    if (top) visit(root, top);
    return usage;
  });
}
