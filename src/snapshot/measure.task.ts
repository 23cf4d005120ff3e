import { lstatSync, readdirSync, type Stats } from 'node:fs';
import type { TaskContext } from '../base/thread-pool.ts';
import { type BytePath, bytePath, pathBuffer } from './byte-path.ts';
import { bytesOnDisk } from './bytes-on-disk.ts';
import type { SnapshotUsage } from './snapshot.ts';

/** A directory with all that a snapshot has of its own. */
export interface TreeToMeasure {
  readonly dir: string;
  /**
   * Where files come from that have links outside of `dir`: all were made here (`made`), none was (`linked`), or those were that
   * are younger than `dir` (`mixed`).
   */
  readonly files: 'made' | 'linked' | 'mixed';
}

/** A file with several links. */
interface SharedFile {
  readonly links: number;
  readonly bytes: number;
  readonly bornAt: number;
  seen: number;
}

/** Shared files of several trees that were made in none of them. */
interface Orphan extends SharedFile {
  readonly tree: number;
}

/**
 * Allocated bytes and inodes of each tree. A file with several links counts once: for the tree it was made in; a file made elsewhere for the
 * first tree that has it, if all its links are in these trees. A tree that is not there takes nothing.
 */
export default function measureTask(
  trees: readonly TreeToMeasure[],
  context: Pick<TaskContext, 'throwIfAborted'>,
): SnapshotUsage[] {
  const orphans = new Map<number, Orphan>();
  const usages = trees.map(({ dir, files }, tree) => {
    const root = bytePath(dir);
    const own = lstatSync(pathBuffer(root), { throwIfNoEntry: false });
    if (!own) return { size: 0, inodes: 0 };
    const shared = new Map<number, SharedFile>();
    const usage = measureTree(root, own, shared, context);
    for (const [inode, file] of shared) {
      const isOwn =
        file.seen === file.links || files === 'made' || (files === 'mixed' && file.bornAt > own.birthtimeMs);
      if (isOwn) usage.size += file.bytes;
      else {
        const orphan = orphans.get(inode);
        if (orphan) orphan.seen += file.seen;
        else orphans.set(inode, { ...file, tree });
      }
    }
    usage.inodes += shared.size;
    return usage;
  });
  for (const { links, seen, bytes, tree } of orphans.values())
    if (seen === links) usages[tree]!.size += bytes;
  return usages;
}

/** Directories and files with one link; others are put into `shared` by inode. */
function measureTree(
  root: BytePath,
  rootStats: Stats,
  shared: Map<number, SharedFile>,
  context: Pick<TaskContext, 'throwIfAborted'>,
): { size: number; inodes: number } {
  const usage = { size: 0, inodes: 0 };
  const visit = (path: BytePath, stats: Stats): void => {
    context.throwIfAborted();
    const bytes = bytesOnDisk(stats);
    if (stats.nlink > 1 && !stats.isDirectory()) {
      const known = shared.get(stats.ino);
      if (known) known.seen++;
      else shared.set(stats.ino, { links: stats.nlink, bytes, bornAt: stats.birthtimeMs, seen: 1 });
      return;
    }
    usage.size += bytes;
    usage.inodes++;
    if (!stats.isDirectory()) return;
    for (const name of readdirSync(pathBuffer(path), { encoding: 'latin1' })) {
      const entry = lstatSync(pathBuffer(`${path}/${name}`), { throwIfNoEntry: false });
      if (entry) visit(`${path}/${name}`, entry);
    }
  };
  visit(root, rootStats);
  return usage;
}
