import { type BigIntStats, lstatSync } from 'node:fs';
import { type ByteString, toSystemPath } from '../../base/text/byte-string.ts';
import { copyTimes } from '../../tree/copy-entry.ts';
import { EntryCopier } from '../../tree/entry-copier.ts';
import { type MergedDirectory, mergedTree } from '../../tree/merged-directory.ts';

/**
 * Makes `target` (a directory, empty or not there) one plain tree that shows what the layers `dirs` (topmost first) show.
 * `onEntry` is called for every entry and may throw to stop.
 */
export function materialize(dirs: readonly ByteString[], target: ByteString, onEntry: () => void): void {
  const copier = new EntryCopier();
  const copyEntries = (directory: MergedDirectory, to: ByteString): void => {
    for (const entry of directory.entries()) {
      onEntry();
      const path = `${to}/${entry.name}`;
      if (entry.directory) copyDirectory(entry.path, entry.stats, entry.directory, path);
      else copier.copy(entry.path, entry.stats, path);
    }
  };
  const copyDirectory = (
    source: ByteString,
    stats: BigIntStats,
    directory: MergedDirectory,
    to: ByteString,
  ): void => {
    copier.copyDirectory(source, stats, to);
    copyEntries(directory, to);
    copyTimes(stats, to);
  };
  const [top] = dirs;
  copyDirectory(top!, lstatSync(toSystemPath(top!), { bigint: true }), mergedTree(dirs), target);
}
