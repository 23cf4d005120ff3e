import {
  type BigIntStats,
  chmodSync,
  closeSync,
  constants,
  copyFileSync,
  lchownSync,
  linkSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  unlinkSync,
} from 'node:fs';
import { errnoOf, KilnError } from '../base/errors.ts';
import type { PatternMatch, PatternMatcher } from '../base/pattern.ts';
import { type ByteString, fromByteString, toSystemPath } from '../layer/byte-path.ts';
import { copyData } from '../linux/copy-data.ts';
import { mknod } from '../linux/mknod.ts';
import { isForeignMark, isWhiteout } from '../linux/overlay-marks.ts';
import { utimens } from '../linux/utimens.ts';
import { getXattr, listXattrs, setXattr } from '../linux/xattr.ts';
import type { LinkGuard } from './link-guard.ts';
import type { ModeChange } from './mode-change.ts';
import type { OwnerNumbers } from './resolve-owner.ts';

export interface TreeCopierOptions {
  /** Instead of the files' own owners. */
  readonly owner?: OwnerNumbers;
  readonly mode?: ModeChange;
  /** Instead of the files' own times, in nanoseconds since 1970. */
  readonly timestamp?: bigint;
  /** Paths (relative to what is copied) that are copied; everything without it. */
  readonly include?: PatternMatcher;
  /** Paths that are not, even if included. */
  readonly exclude?: PatternMatcher;
  /** An existing file that is in the way of another type is replaced instead of being an error. */
  readonly replace: boolean;
  /** Share unchanged files by hard links, where it allows. */
  readonly links?: LinkGuard;
  throwIfAborted(): void;
}

/** Where the walk is: a source directory and the directory that its entries go to. */
interface Level {
  readonly source: ByteString;
  readonly target: ByteString;
  /** Relative to what is copied, `''` at the top. */
  readonly path: ByteString;
  readonly included: PatternMatch | undefined;
  readonly excluded: PatternMatch | undefined;
  readonly parent: Level | undefined;
  /** `absent`: made when the first selected entry needs it. `made`: new, with nothing in it but what is copied. */
  state: 'absent' | 'made' | 'merged';
}

/** Below this many bytes, sharing blocks and looking for holes cost more than they save. */
const smallFile = 65_536n;
const typeMask = 0o170000n;
const socketType = 0o140000n;
const linkType = 0o120000n;
const fileType = 0o100000n;

/**
 * Copies a file or a tree the way `cp -a` does: owners, modes, times to the nanosecond, extended attributes, hard links
 * among the copied files, device nodes and holes are kept. Links are copied, never followed; so with a source and a
 * target inside their roots, everything stays inside. All calls block.
 */
export class TreeCopier {
  readonly #options: TreeCopierOptions;
  /** Where the first name of a file with several went, by device and inode. */
  readonly #firstNames = new Map<string, ByteString>();
  /** Nothing about a file would be changed, so a hard link does not differ from a copy. */
  #canLink: boolean;

  constructor(options: TreeCopierOptions) {
    this.#options = options;
    this.#canLink =
      options.links !== undefined && !options.owner && !options.mode && options.timestamp === undefined;
  }

  /** A directory's contents are merged into a directory `target`; the parent of `target` exists. */
  copy(source: ByteString, target: ByteString): void {
    const stats = lstatOf(source);
    if (!stats.isDirectory()) {
      this.#clear(target, stats);
      this.#copyEntry(source, target, stats);
      return;
    }
    const level: Level = {
      source,
      target,
      path: '',
      included: this.#options.include?.start,
      excluded: this.#options.exclude?.start,
      parent: undefined,
      state: 'absent',
    };
    this.#enter(level, stats);
    this.#copyEntries(level);
    if (level.state === 'made') this.#copyAttributes(source, target, stats);
    else this.#copyTimes(target, stats);
  }

  #copyEntries(level: Level): void {
    for (const entry of readdirSync(toSystemPath(level.source), {
      withFileTypes: true,
      encoding: 'latin1',
    })) {
      this.#options.throwIfAborted();
      const path = level.path === '' ? entry.name : `${level.path}/${entry.name}`;
      const { include, exclude } = this.#options;
      const name = include || exclude ? fromByteString(path) : '';
      const included = include?.enter(level.included!, name);
      const excluded = exclude?.enter(level.excluded!, name);
      const selected =
        (included === undefined || include!.selects(included)) &&
        (excluded === undefined || !exclude!.selects(excluded));
      const source = `${level.source}/${entry.name}`;
      const target = `${level.target}/${entry.name}`;
      if (entry.isDirectory()) {
        if (!selected && this.#isIdleBelow(included, excluded, name)) continue;
        this.#copyDirectory(
          { source, target, path, included, excluded, parent: level, state: 'absent' },
          selected,
        );
      } else if (selected) {
        this.#makeParents(level);
        if (level.state === 'merged') this.#clear(target, undefined);
        if (!(entry.isFile() && this.#link(source, target))) this.#copyEntry(source, target, lstatOf(source));
      }
    }
  }

  /** Nothing below an unselected directory can be selected. */
  #isIdleBelow(
    included: PatternMatch | undefined,
    excluded: PatternMatch | undefined,
    name: string,
  ): boolean {
    const { include, exclude } = this.#options;
    const noneIncluded =
      included !== undefined && !include!.selects(included) && include!.isUniformBelow(included, name);
    const allExcluded =
      excluded !== undefined && exclude!.selects(excluded) && exclude!.isUniformBelow(excluded, name);
    return noneIncluded || allExcluded;
  }

  #copyDirectory(level: Level, selected: boolean): void {
    const stats = lstatOf(level.source);
    if (selected) {
      this.#makeParents(level.parent!);
      this.#enter(level, stats);
    }
    this.#copyEntries(level);
    // A directory that exists takes over everything from one that is selected, and nothing from one on the way.
    if (level.state === 'made' || (level.state === 'merged' && selected)) {
      this.#copyAttributes(level.source, level.target, stats);
    }
  }

  /** Makes directories on the way that were not selected themselves, now that something in them is. */
  #makeParents(level: Level): void {
    if (level.state !== 'absent') return;
    if (level.parent) this.#makeParents(level.parent);
    this.#enter(level, lstatOf(level.source));
  }

  #enter(level: Level, stats: BigIntStats): void {
    const isFresh = level.parent?.state === 'made';
    const existing = isFresh ? undefined : lstatSync(toSystemPath(level.target), { throwIfNoEntry: false });
    if (existing?.isDirectory()) {
      level.state = 'merged';
      return;
    }
    if (existing) this.#clear(level.target, stats);
    mkdirSync(toSystemPath(level.target), 0o700);
    level.state = 'made';
  }

  /** Removes what is in the way at `target`. `stats` is of the source when that is known to be a directory. */
  #clear(target: ByteString, stats: BigIntStats | undefined): void {
    const file = toSystemPath(target);
    const existing = lstatSync(file, { throwIfNoEntry: false });
    if (!existing) return;
    if (this.#options.replace) rmSync(file, { recursive: true });
    else if (stats?.isDirectory()) {
      throw new KilnError(
        'failed_precondition',
        `cannot copy a directory over ${fromByteString(target)}, which is none`,
      );
    } else if (existing.isDirectory()) {
      throw new KilnError(
        'failed_precondition',
        `cannot copy a file over the directory ${fromByteString(target)}`,
      );
    } else unlinkSync(file);
  }

  /** Answers false where a copy has to be made. */
  #link(source: ByteString, target: ByteString): boolean {
    if (!this.#canLink || !this.#options.links!.admits(source, target, this)) return false;
    try {
      linkSync(toSystemPath(source), toSystemPath(target));
      return true;
    } catch (error) {
      const errno = errnoOf(error);
      // Another file system: no file will do. Too many links or an immutable file: this one will not.
      if (errno === 'EXDEV') this.#canLink = false;
      else if (errno !== 'EMLINK' && errno !== 'EPERM') throw error;
      return false;
    }
  }

  /** Anything but a directory; nothing is at `target`. */
  #copyEntry(source: ByteString, target: ByteString, stats: BigIntStats): void {
    const from = toSystemPath(source);
    const to = toSystemPath(target);
    switch (stats.mode & typeMask) {
      case fileType:
        if (this.#link(source, target) || this.#linkToFirst(target, stats)) return;
        copyContent(from, to, stats);
        break;
      case linkType:
        symlinkSync(readlinkSync(from, 'buffer'), to);
        break;
      case socketType:
        // Nobody listens on a copied socket: an empty file keeps its place.
        mknod(to, Number(fileType) | 0o600);
        break;
      default:
        // Only a plain tree can have it; in a layer it would delete.
        if (isWhiteout(stats)) return;
        mknod(to, Number(stats.mode & typeMask) | 0o600, stats.rdev);
    }
    this.#copyAttributes(source, target, stats);
  }

  /** Links a further name of a file that was copied under its first. Answers false for a first name. */
  #linkToFirst(target: ByteString, stats: BigIntStats): boolean {
    if (stats.nlink < 2n) return false;
    const key = `${stats.dev}:${stats.ino}`;
    const first = this.#firstNames.get(key);
    if (first === undefined) {
      this.#firstNames.set(key, target);
      return false;
    }
    linkSync(toSystemPath(first), toSystemPath(target));
    return true;
  }

  #copyAttributes(source: ByteString, target: ByteString, stats: BigIntStats): void {
    const { owner, mode } = this.#options;
    const to = toSystemPath(target);
    lchownSync(to, owner?.uid ?? Number(stats.uid), owner?.gid ?? Number(stats.gid));
    for (const name of listXattrs(toSystemPath(source))) {
      if (!isForeignMark(name)) copyXattr(source, target, name);
    }
    // After the ACL, which brings a mode of its own.
    if (!stats.isSymbolicLink()) {
      const own = Number(stats.mode) & 0o7777;
      chmodSync(to, mode ? mode(own, stats.isDirectory()) : own);
    }
    this.#copyTimes(target, stats);
  }

  #copyTimes(target: ByteString, stats: BigIntStats): void {
    const { timestamp } = this.#options;
    utimens(toSystemPath(target), timestamp ?? stats.atimeNs, timestamp ?? stats.mtimeNs);
  }
}

function lstatOf(file: ByteString): BigIntStats {
  return lstatSync(toSystemPath(file), { bigint: true });
}

function copyContent(from: string | Buffer, to: string | Buffer, stats: BigIntStats): void {
  if (stats.size < smallFile) {
    copyFileSync(from, to, constants.COPYFILE_EXCL);
    return;
  }
  const input = openSync(from, constants.O_RDONLY | constants.O_NOFOLLOW);
  try {
    const output = openSync(to, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL, 0o600);
    try {
      copyData(input, output, Number(stats.size));
    } finally {
      closeSync(output);
    }
  } finally {
    closeSync(input);
  }
}

/** Attributes that the target's file system cannot hold are left out. */
function copyXattr(source: ByteString, target: ByteString, name: string): void {
  const value = getXattr(toSystemPath(source), name);
  if (value === undefined) return;
  try {
    setXattr(toSystemPath(target), name, value);
  } catch (error) {
    const errno = errnoOf(error);
    if (errno !== 'ENOTSUP' && errno !== 'EOPNOTSUPP' && errno !== 'EPERM') throw error;
  }
}
