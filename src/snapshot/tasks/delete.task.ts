import { lstatSync, readdirSync, rmdirSync, unlinkSync } from 'node:fs';
import { errnoOf } from '../../base/errors.ts';
import { type ByteString, toByteString, toSystemPath } from '../../base/text/byte-string.ts';
import { bytesOnDisk } from './bytes-on-disk.ts';

/** Removes whole trees, as far as that is possible, and returns for each the number of bytes that were freed. */
export default function deleteTask(paths: readonly string[]): number[] {
  return paths.map((path) => {
    let freed = 0;
    const remove = (at: ByteString): void => {
      const stats = lstatSync(toSystemPath(at), { throwIfNoEntry: false });
      if (!stats) return;
      if (stats.isDirectory()) {
        for (const name of readdirSync(toSystemPath(at), { encoding: 'latin1' })) remove(`${at}/${name}`);
      }
      try {
        if (stats.isDirectory()) rmdirSync(toSystemPath(at));
        else unlinkSync(toSystemPath(at));
      } catch (error) {
        // What does not go (a mount point, an immutable file) stays in the trash for the next start.
        if (errnoOf(error) !== 'ENOENT') return;
      }
      if (stats.isDirectory() || stats.nlink === 1) freed += bytesOnDisk(stats);
    };
    remove(toByteString(path));
    return freed;
  });
}
