import { type BigIntStats, lstatSync, readdirSync } from 'node:fs';
import { type ByteString, toByteString, toSystemPath } from '../layer/byte-path.ts';

/**
 * Decides which files of a source may be hard-linked into a layer. A file may have one name in the tree that the layer is
 * part of: with two, programs that look at inodes would take two files for one. So what was linked under another
 * name, now or into a layer below, has to be copied.
 */
export class LinkGuard {
  /** The layer's own directory. */
  readonly #root: ByteString;
  readonly #sharingDirs: readonly string[];
  /** A single tree is copied, and nothing was linked below: nothing can get a second name. */
  readonly #isFree: boolean;
  /** Names in the tree, by inode. */
  #names: Map<bigint, GivenName> | undefined;

  /** `sharingDirs`: directories of layers below that hold linked files. `isSingle`: one tree is copied, once. */
  constructor(root: string, sharingDirs: readonly string[], isSingle: boolean) {
    this.#root = toByteString(root);
    this.#sharingDirs = sharingDirs;
    this.#isFree = sharingDirs.length === 0 && isSingle;
  }

  /** Whether `source` may get the name `target`, which then counts as given. Names that one tree has for a file stay so in its copy `by`. */
  admits(source: ByteString, target: ByteString, by: object): boolean {
    if (this.#isFree) return true;
    this.#names ??= namesIn(this.#sharingDirs);
    const { ino } = statsOf(source);
    const name = target.slice(this.#root.length);
    const given = this.#names.get(ino);
    if (!given) this.#names.set(ino, { name, by });
    return !given || given.name === name || given.by === by;
  }
}

interface GivenName {
  readonly name: ByteString;
  /** The copy that gave it; undefined for a layer below. */
  readonly by?: object;
}

function statsOf(file: ByteString): BigIntStats {
  return lstatSync(toSystemPath(file), { bigint: true });
}

/** The names of all files that have further ones somewhere. */
function namesIn(dirs: readonly string[]): Map<bigint, GivenName> {
  const names = new Map<bigint, GivenName>();
  for (const root of dirs.map(toByteString)) {
    const pending = [''];
    for (let at = pending.pop(); at !== undefined; at = pending.pop()) {
      for (const entry of readdirSync(toSystemPath(root + at), { withFileTypes: true, encoding: 'latin1' })) {
        const name = `${at}/${entry.name}`;
        if (entry.isDirectory()) pending.push(name);
        else if (entry.isFile()) {
          const { ino, nlink } = statsOf(root + name);
          if (nlink > 1n) names.set(ino, { name });
        }
      }
    }
  }
  return names;
}
