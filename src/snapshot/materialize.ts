import type { BytePath } from './byte-path.ts';
import { type CopyMethod, copyTimes, EntryCopier } from './entry-copier.ts';
import { type LayeredEntry, layeredRoot, readLayeredDir } from './layered-tree.ts';

/**
 * Makes `target` (a directory, empty or not there) one plain tree that shows what the layers `dirs` (topmost first) show.
 * `onEntry` is called for every entry and may throw to stop.
 */
export function materialize(
  dirs: readonly BytePath[],
  target: BytePath,
  method: CopyMethod,
  onEntry: () => void,
): void {
  const copier = new EntryCopier(method);
  const copyTree = (entry: LayeredEntry, to: BytePath): void => {
    onEntry();
    if (!entry.dirs) {
      copier.copy(entry.path, entry.stats, to);
      return;
    }
    copier.copyDirectory(entry.path, entry.stats, to);
    for (const child of readLayeredDir(entry.dirs)) copyTree(child, `${to}/${child.name}`);
    copyTimes(entry.stats, to);
  };
  copyTree(layeredRoot(dirs), target);
}
