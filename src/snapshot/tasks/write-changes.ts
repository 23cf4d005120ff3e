import { type BigIntStats, lstatSync, rmSync } from 'node:fs';
import { type ByteString, toSystemPath } from '../../base/text/byte-string.ts';
import { copyTimes } from '../../tree/copy-entry.ts';
import { EntryCopier } from '../../tree/entry-copier.ts';
import { type MergedEntry, mergedTree } from '../../tree/merged-directory.ts';
import { isWhiteout, makeOpaque, makeWhiteout } from '../../tree/overlay-marks.ts';
import { treeChanges } from '../../tree/tree-changes.ts';

export interface ChangesToWrite {
  /** Topmost first; empty for the empty tree. */
  readonly lower: readonly ByteString[];
  readonly upper: readonly ByteString[];
  /** A directory that exists. */
  readonly target: ByteString;
  /** `whiteout`: deletions are written as overlayfs marks. `apply`: what is deleted is removed from `target`. */
  readonly deletions: 'whiteout' | 'apply';
}

/** Writes what `upper` changed against `lower` into `target`: a layer directory of its own, or a tree that is changed in place. */
export function writeChanges({ lower, upper, target, deletions }: ChangesToWrite, onEntry: () => void): void {
  const copier = new EntryCopier();
  const after = mergedTree(upper);
  /** Directories made or changed in the target, with the times they get in the end. */
  const directories = new Map<ByteString, BigIntStats>();

  const putDirectory = (path: ByteString, entry: Pick<MergedEntry, 'path' | 'stats'>): void => {
    const to = `${target}/${path}`;
    const stats = lstatSync(toSystemPath(to), { bigint: true, throwIfNoEntry: false });
    if (stats && !stats.isDirectory()) rmSync(toSystemPath(to));
    copier.copyDirectory(entry.path, entry.stats, to);
    directories.set(path, entry.stats);
  };

  const ensureParents = (path: ByteString): void => {
    let directory = after;
    for (let end = path.indexOf('/'); end >= 0; end = path.indexOf('/', end + 1)) {
      const parent = path.slice(0, end);
      const start = parent.lastIndexOf('/') + 1;
      const entry = directory.lookup(parent.slice(start))!;
      directory = entry.directory!;
      if (!directories.has(parent)) putDirectory(parent, entry);
    }
  };

  const root = lstatSync(toSystemPath(upper[0]!), { bigint: true });
  directories.set('', root);
  copier.copyDirectory(upper[0]!, root, target);
  for (const change of treeChanges(mergedTree(lower), after)) {
    onEntry();
    ensureParents(change.path);
    const to = `${target}/${change.path}`;
    switch (change.kind) {
      case 'deleted':
        rmSync(toSystemPath(to), { recursive: true, force: true });
        if (deletions === 'whiteout') makeWhiteout(toSystemPath(to));
        break;
      case 'written':
        if (change.entry.directory) {
          putDirectory(change.path, change.entry);
          if (change.replaced && deletions === 'whiteout') makeOpaque(toSystemPath(to));
        } else {
          rmSync(toSystemPath(to), { recursive: true, force: true });
          if (deletions === 'whiteout' && isWhiteout(change.entry.stats)) break;
          copier.copy(change.entry.path, change.entry.stats, to);
        }
        break;
      default:
        change satisfies never;
    }
  }
  for (const [path, stats] of [...directories].reverse()) {
    copyTimes(stats, path === '' ? target : `${target}/${path}`);
  }
}
