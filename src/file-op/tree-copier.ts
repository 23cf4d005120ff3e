import {
  type BigIntStats,
  chmodSync,
  lchownSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  unlinkSync,
} from 'node:fs';
import { KilnError } from '../base/errors.ts';
import type { PatternMatch, PatternMatcher } from '../base/pattern/pattern.ts';
import { type ByteString, fromByteString, toSystemPath } from '../base/text/byte-string.ts';
import { type CopyChanges, SourceFile } from '../linux/copy-file.ts';
import { mknod } from '../linux/mknod.ts';
import { utimens } from '../linux/utimens.ts';
import { copyXattrs } from '../linux/xattr.ts';
import { isForeignMark, isWhiteout } from '../tree/overlay-marks.ts';
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
  readonly #changes: CopyChanges;

  constructor(options: TreeCopierOptions) {
    const { owner, mode, timestamp } = options;
    this.#options = options;
    this.#changes = { owner, timestamp, mode: mode && ((own) => mode(own, false)) };
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
        // Those of a file are read when it is open.
        const stats = entry.isFile() ? undefined : lstatIfThere(source);
        // An overlay lists a deletion as a name in a directory that only one of its layers has.
        if (!stats && !entry.isFile()) continue;
        this.#makeParents(level);
        if (level.state === 'merged') this.#clear(target, undefined);
        if (stats) this.#copyEntry(source, target, stats);
        else this.#copyFile(source, target);
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

  /** Anything but a directory; nothing is at `target`. */
  #copyEntry(source: ByteString, target: ByteString, stats: BigIntStats): void {
    const to = toSystemPath(target);
    switch (stats.mode & typeMask) {
      case fileType:
        this.#copyFile(source, target);
        return;
      case linkType:
        symlinkSync(readlinkSync(toSystemPath(source), 'buffer'), to);
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

  #copyFile(source: ByteString, target: ByteString): void {
    using file = new SourceFile(toSystemPath(source));
    const first = file.identity === undefined ? undefined : this.#firstNames.get(file.identity);
    if (first !== undefined) {
      linkSync(toSystemPath(first), toSystemPath(target));
      return;
    }
    if (file.identity !== undefined) this.#firstNames.set(file.identity, target);
    file.copyTo(toSystemPath(target), this.#changes, isForeignMark);
  }

  #copyAttributes(source: ByteString, target: ByteString, stats: BigIntStats): void {
    const { owner, mode } = this.#options;
    const to = toSystemPath(target);
    lchownSync(to, owner?.uid ?? Number(stats.uid), owner?.gid ?? Number(stats.gid));
    copyXattrs(toSystemPath(source), to, isForeignMark);
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

function lstatIfThere(file: ByteString): BigIntStats | undefined {
  return lstatSync(toSystemPath(file), { bigint: true, throwIfNoEntry: false });
}

function lstatOf(file: ByteString): BigIntStats {
  return lstatSync(toSystemPath(file), { bigint: true });
}
