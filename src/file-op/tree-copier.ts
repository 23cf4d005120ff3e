import { type BigIntStats, lstatSync, readdirSync } from 'node:fs';
import { KilnError } from '../base/errors.ts';
import type { FilterMatch, PathFilter } from '../base/pattern/path-filter.ts';
import { type ByteString, fromByteString, toSystemPath } from '../base/text/byte-string.ts';
import { pathIn } from '../tree/tree.ts';
import type { EntryChanges, TreeMaker } from '../tree/tree-maker.ts';
import type { ModeChange } from './mode-change.ts';
import type { OwnerNumbers } from './resolve-owner.ts';

export interface TreeCopierOptions {
  /** Instead of the files' own owners. */
  readonly owner?: OwnerNumbers;
  readonly mode?: ModeChange;
  /** Instead of the files' own times, in nanoseconds since 1970. */
  readonly timestamp?: bigint;
  /** What is copied, by paths relative to it. */
  readonly filter: PathFilter;
  /** An existing file that is in the way of another type is replaced instead of being an error. */
  readonly replace: boolean;
  throwIfAborted(): void;
}

/** Where the walk is: a source directory and the directory that its entries go to. */
interface Level {
  /** On this machine. */
  readonly source: ByteString;
  /** In the tree that is made. */
  readonly target: ByteString;
  /** Relative to what is copied, `''` at the top. */
  readonly path: ByteString;
  readonly match: FilterMatch;
  readonly parent: Level | undefined;
  /** `absent`: made when the first selected entry needs it. `made`: new, with nothing in it but what is copied. */
  state: 'absent' | 'made' | 'merged';
}

/**
 * Copies a file or a tree the way `cp -a` does: owners, modes, times to the nanosecond, extended attributes, hard links
 * among the copied files, device nodes and holes are kept. Links are copied, never followed; so with a source and a
 * target inside their roots, everything stays inside. All calls block.
 */
export class TreeCopier {
  readonly #tree: TreeMaker;
  readonly #options: TreeCopierOptions;
  readonly #changes: EntryChanges;

  constructor(tree: TreeMaker, options: TreeCopierOptions) {
    const { owner, mode, timestamp } = options;
    this.#tree = tree;
    this.#options = options;
    this.#changes = { owner, timestamp, mode, firstNames: new Map() };
  }

  /** `source`: a path of this machine. A directory's contents are merged into a directory `target`; the parent of `target` exists. */
  copy(source: ByteString, target: ByteString): void {
    const stats = lstatOf(source);
    if (!stats.isDirectory()) {
      this.#clear(target, { isDirectory: false });
      this.#tree.copy(target, { path: source, stats }, this.#changes);
      return;
    }
    const level: Level = {
      source,
      target,
      path: '',
      match: this.#options.filter.start,
      parent: undefined,
      state: 'absent',
    };
    this.#enter(level);
    this.#copyEntries(level);
    if (level.state === 'made') this.#tree.copyMetadata(target, { path: source, stats }, this.#changes);
    else this.#copyTimes(target, stats);
  }

  #copyEntries(level: Level): void {
    const { filter } = this.#options;
    for (const entry of readdirSync(toSystemPath(level.source), {
      withFileTypes: true,
      encoding: 'latin1',
    })) {
      this.#options.throwIfAborted();
      const path = pathIn(level.path, entry.name);
      const name = filter.takesAll ? '' : fromByteString(path);
      const match = filter.takesAll ? level.match : filter.enter(level.match, name);
      const selected = filter.takes(match);
      const source = `${level.source}/${entry.name}`;
      const target = pathIn(level.target, entry.name);
      if (entry.isDirectory()) {
        if (!selected && filter.takesNothingBelow(match, name)) continue;
        this.#copyDirectory({ source, target, path, match, parent: level, state: 'absent' }, selected);
      } else if (selected) {
        // Those of a file are read when it is open.
        const stats = entry.isFile() ? undefined : lstatIfThere(source);
        // An overlay lists a deletion as a name in a directory that only one of its layers has.
        if (!stats && !entry.isFile()) continue;
        this.#makeParents(level);
        if (level.state === 'merged') this.#clear(target, { isDirectory: false });
        this.#tree.copy(target, { path: source, stats }, this.#changes);
      }
    }
  }

  #copyDirectory(level: Level, selected: boolean): void {
    const stats = lstatOf(level.source);
    if (selected) {
      this.#makeParents(level.parent!);
      this.#enter(level);
    }
    this.#copyEntries(level);
    // A directory that exists takes over everything from one that is selected, and nothing from one on the way.
    if (level.state === 'made' || (level.state === 'merged' && selected)) {
      this.#tree.copyMetadata(level.target, { path: level.source, stats }, this.#changes);
    }
  }

  /** Makes directories on the way that were not selected themselves, now that something in them is. */
  #makeParents(level: Level): void {
    if (level.state !== 'absent') return;
    if (level.parent) this.#makeParents(level.parent);
    this.#enter(level);
  }

  #enter(level: Level): void {
    const isFresh = level.parent?.state === 'made';
    const existing = isFresh ? undefined : this.#tree.lookup(level.target);
    if (existing?.kind === 'directory') {
      level.state = 'merged';
      return;
    }
    if (existing) this.#clear(level.target, { isDirectory: true });
    this.#tree.add(level.target, { kind: 'directory', metadata: { mode: 0o700 } });
    level.state = 'made';
  }

  /** Removes what is in the way at `target`. `isDirectory`: whether the source is one. */
  #clear(target: ByteString, { isDirectory }: { readonly isDirectory: boolean }): void {
    const existing = this.#tree.lookup(target);
    if (!existing) return;
    if (!this.#options.replace) {
      const name = `/${fromByteString(target)}`;
      if (isDirectory) {
        throw new KilnError('failed_precondition', `cannot copy a directory over ${name}, which is none`);
      }
      if (existing.kind === 'directory') {
        throw new KilnError('failed_precondition', `cannot copy a file over the directory ${name}`);
      }
    }
    this.#tree.remove(target);
  }

  #copyTimes(target: ByteString, { atimeNs, mtimeNs }: BigIntStats): void {
    const { timestamp } = this.#options;
    const times = { access: timestamp ?? atimeNs, modification: timestamp ?? mtimeNs };
    this.#tree.setMetadata(target, { times });
  }
}

function lstatIfThere(file: ByteString): BigIntStats | undefined {
  return lstatSync(toSystemPath(file), { bigint: true, throwIfNoEntry: false });
}

function lstatOf(file: ByteString): BigIntStats {
  return lstatSync(toSystemPath(file), { bigint: true });
}
