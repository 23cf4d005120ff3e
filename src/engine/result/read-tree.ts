import { constants, promises as fs } from 'node:fs';
import path from 'node:path/posix';
import { errnoOf, KilnError } from '../../base/errors.ts';
import { matchGlob } from '../../base/pattern/pattern.ts';
import { resolveInRoot } from '../../base/rooted-path.ts';
import { goMode, goModeOf } from '../../file-sync/protocol/go-mode.ts';
import type { FileStat } from '../../frontend/frontend.ts';
import { majorOf, minorOf } from '../../linux/mknod.ts';

/** Reading files of a mounted tree for frontends. Links are resolved inside the tree; times are in nanoseconds. */

/** Bytes; `length` 0 reads to the end. */
export interface FileRange {
  readonly offset: number;
  readonly length: number;
}

/** Frontends read Dockerfiles, not disks. */
const maxRead = 512 * 1024 * 1024;

export async function readTreeFile(root: string, name: string, range?: FileRange): Promise<Uint8Array> {
  return await named(name, async () => {
    const place = resolveInRoot(root, name);
    const stat = await fs.lstat(place);
    // What is no file is not opened: opening a device can change what it does.
    if (!stat.isFile()) throw new KilnError('invalid_argument', `${name} is not a regular file`);
    const file = await fs.open(place, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    try {
      const offset = Math.min(range?.offset ?? 0, stat.size);
      const length = Math.min(range?.length || stat.size, stat.size - offset);
      if (length > maxRead) throw new KilnError('out_of_range', `${name} is larger than ${maxRead} bytes`);
      const data = Buffer.alloc(length);
      const { bytesRead } = await file.read(data, 0, length, offset);
      return data.subarray(0, bytesRead);
    } finally {
      await file.close();
    }
  });
}

/** The entries of a directory, sorted; their `path` is their name. */
export async function readTreeDir(
  root: string,
  name: string,
  includePattern?: string,
): Promise<readonly FileStat[]> {
  return await named(name, async () => {
    const directory = resolveInRoot(root, name);
    const names = (await fs.readdir(directory)).filter(
      (each) => !includePattern || matchGlob(includePattern, each),
    );
    const stats = names.sort().map(async (each) => {
      try {
        return [await statOf(path.join(directory, each), each)];
      } catch (error) {
        // An overlay lists a deletion as a name in a directory that only one of its layers has.
        if (errnoOf(error) === 'ENOENT') return [];
        throw error;
      }
    });
    return (await Promise.all(stats)).flat();
  });
}

/** The link itself when `name` is one. */
export async function statTree(root: string, name: string): Promise<FileStat> {
  return await named(name, () =>
    statOf(resolveInRoot(root, name, { followLast: false }), path.basename(name)),
  );
}

async function statOf(file: string, name: string): Promise<FileStat> {
  const stat = await fs.lstat(file, { bigint: true });
  const device = stat.isBlockDevice() || stat.isCharacterDevice();
  return {
    path: name,
    mode: (goModeOf(Number(stat.mode)) | (stat.isSocket() ? goMode.socket : 0)) >>> 0,
    uid: Number(stat.uid),
    gid: Number(stat.gid),
    size: stat.isFile() ? stat.size : 0n,
    modTime: stat.mtimeNs,
    linkname: stat.isSymbolicLink() ? await fs.readlink(file) : '',
    devmajor: device ? BigInt(majorOf(stat.rdev)) : 0n,
    devminor: device ? BigInt(minorOf(stat.rdev)) : 0n,
    xattrs: {},
  };
}

/** System errors say what was asked for, not where it happens to be mounted. */
async function named<T>(name: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    switch (errnoOf(error)) {
      case 'ENOENT':
        throw new KilnError('not_found', `${name}: no such file or directory`, { cause: error });
      case 'ENOTDIR':
        throw new KilnError('failed_precondition', `${name}: not a directory`, { cause: error });
      case 'EISDIR':
        throw new KilnError('failed_precondition', `${name}: is a directory`, { cause: error });
      default:
        throw error;
    }
  }
}
