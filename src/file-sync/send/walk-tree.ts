import { type BigIntStats, lstatSync, readdirSync, readlinkSync } from 'node:fs';
import { asKilnError, errnoOf } from '../../base/errors.ts';
import { type FilterMatch, PathFilter } from '../../base/pattern/path-filter.ts';
import { fromByteString, toByteString, toSystemPath } from '../../base/text/byte-string.ts';
import { majorOf, minorOf } from '../../linux/mknod.ts';
import { getXattr, listXattrs } from '../../linux/xattr.ts';
import type { FileStat } from '../protocol/file-stat.ts';
import { goMode, goModeOf, hasData, kindOfGoMode } from '../protocol/go-mode.ts';
import { followPaths } from './follow-paths.ts';

export interface WalkOptions {
  /** Absolute. */
  readonly dir: string;
  /** Only what matches, or lies in what matches; empty for all. */
  readonly includePatterns: readonly string[];
  readonly excludePatterns: readonly string[];
  /** Paths included together with what the symbolic links in them lead to. */
  readonly followPaths: readonly string[];
  /** Of every file, instead of its own. */
  readonly owner?: { readonly uid: number; readonly gid: number };
  /** Modification time of every file in nanoseconds, instead of its own. */
  readonly mtime?: bigint;
  /** Tell what shows changes that size and time do not show, see `FileStat.changeStamp`. */
  readonly changeStamps?: boolean;
}

/** A directory whose stat is only sent when something in it is. */
interface Pending {
  readonly stat: FileStat;
  sent: boolean;
}

/**
 * The files of a directory in the order that file sync requires: a directory before its entries, entries by the bytes of their
 * names. Files that disappear meanwhile are passed over. A hard link names the first of the files sent that it shares its data with.
 */
export class TreeWalk {
  readonly #options: WalkOptions;
  readonly #root: string;
  readonly #filter: PathFilter;
  readonly #inodes = new Map<string, string>();

  /** Throws `invalid_argument` for a malformed pattern. */
  constructor(options: WalkOptions) {
    this.#options = options;
    this.#root = toByteString(options.dir);
    this.#filter = new PathFilter({
      includePatterns: includePatterns(options),
      excludePatterns: options.excludePatterns,
    });
  }

  /** Throws when a directory cannot be read, naming it. */
  *entries(): Generator<FileStat> {
    const root = lstatSync(this.#options.dir, { bigint: true });
    if (!root.isDirectory())
      throw Object.assign(new Error(`${this.#options.dir} is not a directory`), { code: 'ENOTDIR' });
    yield* this.#directory('', [], this.#filter.start);
  }

  *#directory(dir: string, parents: readonly Pending[], match: FilterMatch): Generator<FileStat> {
    for (const name of this.#names(dir)) {
      const path = dir === '' ? name : `${dir}/${name}`;
      const text = fromByteString(path);
      const own = this.#filter.enter(match, text);
      const selected = this.#filter.takes(own);
      if (!selected && this.#filter.takesNothingBelow(own, text)) continue;
      const info = this.#lstat(path);
      if (!info || (!selected && !info.isDirectory())) continue;
      const pending: Pending = { stat: this.#statOf(path, info), sent: false };
      if (selected) {
        for (const parent of parents) {
          if (parent.sent) continue;
          parent.sent = true;
          yield parent.stat;
        }
        pending.sent = true;
        yield this.#withLink(pending.stat, info);
      }
      if (info.isDirectory()) yield* this.#directory(path, [...parents, pending], own);
    }
  }

  #names(dir: string): string[] {
    try {
      return readdirSync(this.#at(dir), { encoding: 'latin1' }).sort();
    } catch (error) {
      if (dir !== '' && isGone(error)) return [];
      throw asKilnError(error).wrap(`cannot read directory ${fromByteString(this.#pathOf(dir))}`);
    }
  }

  #lstat(path: string): BigIntStats | undefined {
    try {
      return lstatSync(this.#at(path), { bigint: true });
    } catch (error) {
      if (isGone(error)) return undefined;
      throw error;
    }
  }

  #statOf(path: string, info: BigIntStats): FileStat {
    const mode = goModeOf(Number(info.mode));
    const kind = kindOfGoMode(mode);
    const isDevice = kind === 'character-device' || kind === 'block-device';
    const { owner, mtime } = this.#options;
    return {
      path,
      mode,
      uid: owner?.uid ?? Number(info.uid),
      gid: owner?.gid ?? Number(info.gid),
      size: info.isDirectory() ? 0 : Number(info.size),
      mtime: mtime ?? info.mtimeNs,
      linkname: mode & goMode.symlink ? this.#linkTarget(path) : '',
      devMajor: isDevice ? majorOf(info.rdev) : 0,
      devMinor: isDevice ? minorOf(info.rdev) : 0,
      xattrs: this.#xattrs(path),
      changeStamp: this.#options.changeStamps && info.isFile() ? changeStamp(info) : undefined,
    };
  }

  #withLink(stat: FileStat, info: BigIntStats): FileStat {
    if (!hasData(stat.mode) || info.nlink < 2n) return stat;
    const inode = `${info.dev}:${info.ino}`;
    const first = this.#inodes.get(inode);
    if (first !== undefined) return { ...stat, linkname: first };
    this.#inodes.set(inode, stat.path);
    return stat;
  }

  #linkTarget(path: string): string {
    try {
      return readlinkSync(this.#at(path), { encoding: 'latin1' });
    } catch (error) {
      if (isGone(error)) return '';
      throw error;
    }
  }

  #xattrs(path: string): ReadonlyMap<string, Uint8Array> {
    const file = this.#at(path);
    try {
      const names = listXattrs(file);
      if (names.length === 0) return noXattrs;
      const xattrs = new Map<string, Uint8Array>();
      for (const name of names.sort()) {
        if (name.startsWith('com.apple.')) continue;
        const value = getXattr(file, name);
        if (value) xattrs.set(toByteString(name), value);
      }
      return xattrs;
    } catch (error) {
      if (isGone(error) || errnoOf(error) === 'EACCES') return noXattrs;
      throw error;
    }
  }

  #pathOf(path: string): string {
    return path === '' ? this.#root : `${this.#root}/${path}`;
  }

  #at(path: string): string | Buffer {
    return toSystemPath(this.#pathOf(path));
  }
}

/** The change time cannot be set, and a file that was put in another's place has an inode of its own. */
function changeStamp({ ctimeNs, ino }: BigIntStats): bigint {
  return BigInt.asIntN(64, ctimeNs + ino * 0x9e37_79b9_7f4a_7c15n) || 1n;
}

const noXattrs: ReadonlyMap<string, Uint8Array> = new Map();

function isGone(error: unknown): boolean {
  const errno = errnoOf(error);
  return errno === 'ENOENT' || errno === 'ENOTDIR';
}

/** No patterns at all when a followed path is the directory itself. */
function includePatterns(options: WalkOptions): readonly string[] {
  if (options.followPaths.length === 0) return options.includePatterns;
  const followed = followPaths(options.dir, options.followPaths);
  if (followed === 'everything') return options.includePatterns;
  const all = [...options.includePatterns, ...followed];
  return all.includes('.') ? [] : all;
}
