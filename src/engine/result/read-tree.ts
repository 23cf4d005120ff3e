import { type BigIntStats, constants, promises as fs } from 'node:fs';
import path from 'node:path/posix';
import { errnoOf, KilnError } from '../../base/errors.ts';
import { matchGlob } from '../../base/pattern/pattern.ts';
import { goMode, goModeOf } from '../../file-sync/protocol/go-mode.ts';
import type { FileStat } from '../../frontend/frontend.ts';
import { majorOf, minorOf } from '../../linux/mknod.ts';
import { type HeldPath, openBeneath, openInRoot } from '../../linux/open-in-root.ts';
import type { MountedView } from '../../ref/ref.ts';

/**
 * Reading files of a mounted tree for frontends, also while others change it. Links are resolved inside the tree; times are in nanoseconds.
 */

/** Bytes, neither negative; `length` 0 reads to the end. */
export interface FileRange {
  readonly offset: number;
  readonly length: number;
}

/** Frontends read Dockerfiles, not disks. No client takes more in one message. */
const maxRead = 16 * 1024 * 1024;

/** A tree that is mounted at `path`. */
export type TreeView = Pick<MountedView, 'path' | 'partlyHere'>;

export async function readTreeFile(
  { path: root, partlyHere }: TreeView,
  name: string,
  range?: FileRange,
  signal?: AbortSignal,
): Promise<Uint8Array> {
  if (range && (range.offset < 0 || range.length < 0)) {
    throw new KilnError(
      'invalid_argument',
      `${name} cannot be read from ${range.offset} on, ${range.length} bytes`,
    );
  }
  return await named(name, async () => {
    using held = openInRoot(root, checked(name));
    const stat = await fs.stat(held.path);
    // What is no file is not opened: opening a device can change what it does.
    if (!stat.isFile()) throw new KilnError('invalid_argument', `${name} is not a regular file`);
    const file = await fs.open(held.path, constants.O_RDONLY | constants.O_NONBLOCK);
    try {
      const offset = Math.min(range?.offset ?? 0, stat.size);
      const length = Math.min(range?.length || stat.size, stat.size - offset);
      if (length > maxRead) {
        throw new KilnError('out_of_range', `${name}: ${length} bytes are more than are read at once`, {
          hint: `read it in parts of ${maxRead} bytes or less`,
        });
      }
      await partlyHere?.bring([{ path: held.path, offset, length }], signal);
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
  { path: root }: TreeView,
  name: string,
  includePattern?: string,
): Promise<readonly FileStat[]> {
  return await named(name, async () => {
    using directory = openInRoot(root, checked(name));
    const names = (await fs.readdir(directory.path)).filter(
      (each) => !includePattern || matchGlob(includePattern, each),
    );
    const stats = names.sort().map(async (each) => {
      try {
        return [await statOf(path.join(directory.path, each), each)];
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
export async function statTree({ path: root }: TreeView, name: string): Promise<FileStat> {
  return await named(name, async () => {
    const last = path.basename(checked(name));
    if (last === '' || last === '.' || last === '..') {
      using held = openInRoot(root, name);
      return await statHeld(held, last);
    }
    using directory = openInRoot(root, path.dirname(name));
    return await statOf(path.join(directory.path, last), last);
  });
}

/** What `name` leads to; the link itself when it is one that leads elsewhere. */
export async function statTreeTarget(view: TreeView, name: string): Promise<FileStat> {
  return await named(name, async () => {
    const held = beneath(view.path, checked(name));
    if (!held) return await statTree(view, name);
    try {
      return await statHeld(held, path.basename(name));
    } finally {
      held[Symbol.dispose]();
    }
  });
}

function beneath(root: string, name: string): HeldPath | undefined {
  try {
    return openBeneath(root, name);
  } catch (error) {
    if (errnoOf(error) === 'EXDEV') return undefined;
    throw error;
  }
}

function checked(name: string): string {
  if (!name.includes('\0')) return name;
  const shown = JSON.stringify(name).slice(0, 200);
  throw new KilnError('invalid_argument', `${shown} has a NUL, which no path of a file can have`);
}

/** Of what is held, which is no link. */
function statHeld({ path: file }: HeldPath, name: string): Promise<FileStat> {
  return fs.stat(file, { bigint: true }).then((stat) => statMessage(stat, name, ''));
}

async function statOf(file: string, name: string): Promise<FileStat> {
  const stat = await fs.lstat(file, { bigint: true });
  return statMessage(stat, name, stat.isSymbolicLink() ? await fs.readlink(file) : '');
}

function statMessage(stat: BigIntStats, name: string, linkname: string): FileStat {
  const device = stat.isBlockDevice() || stat.isCharacterDevice();
  return {
    path: name,
    mode: (goModeOf(Number(stat.mode)) | (stat.isSocket() ? goMode.socket : 0)) >>> 0,
    uid: Number(stat.uid),
    gid: Number(stat.gid),
    size: stat.isFile() ? stat.size : 0n,
    modTime: stat.mtimeNs,
    linkname,
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
      case 'ELOOP':
        throw new KilnError('failed_precondition', `${name}: too many levels of symbolic links`, {
          cause: error,
        });
      case 'EISDIR':
        throw new KilnError('failed_precondition', `${name}: is a directory`, { cause: error });
      default:
        throw error;
    }
  }
}
