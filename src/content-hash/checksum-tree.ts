import { lstatSync } from 'node:fs';
import { type Digest, digestOf } from '../base/digest.ts';
import { KilnError } from '../base/errors.ts';
import { nearestName } from '../base/nearest/nearest-name.ts';
import { PathFilter } from '../base/pattern/path-filter.ts';
import { compileGlob, hasWildcard } from '../base/pattern/pattern.ts';
import { type ByteString, fromByteString, toByteString, toSystemPath } from '../base/text/byte-string.ts';
import { type MergedDirectory, type MergedEntry, mergedTree } from '../tree/merged-directory.ts';
import { namesOf, type Resolved, resolveMerged } from '../tree/resolve-merged.ts';
import type { ContentSelection } from './checksum.ts';
import { type ContentReader, EntryDigests } from './entry-digests.ts';
import { EntryListHash } from './entry-list-hash.ts';
import { FilteredList, ownDigest } from './filtered-list.ts';
import { isFiltered } from './is-filtered.ts';

/** Of a tree without layers, and of nothing selected. */
const digestOfNothing = digestOf('');

/**
 * Returns BuildKit's digest of what a selection takes from a tree of layer directories, topmost first: of one entry with all that is in it,
 * or of the list of entries that patterns select, with their paths below the part of the selected path without wildcards. So it does not
 * depend on where the selected entry lies. Throws `not_found` naming the path. `onEntries` gets what tells of the entries (see `content-entry.ts`).
 */
export function checksumTree(
  layers: readonly ByteString[],
  selection: ContentSelection,
  readContent: ContentReader,
  onEntries?: (bytes: Buffer) => void,
): Digest {
  const digests = new EntryDigests(readContent, onEntries);
  const checksum = new TreeChecksum(layers, selection, digests).digest();
  digests.finish();
  return checksum;
}

class TreeChecksum {
  readonly #layers: readonly ByteString[];
  readonly #root: MergedDirectory;
  readonly #selection: ContentSelection;
  readonly #digests: EntryDigests;

  constructor(layers: readonly ByteString[], selection: ContentSelection, digests: EntryDigests) {
    this.#layers = layers;
    this.#root = mergedTree(layers);
    this.#selection = selection;
    this.#digests = digests;
  }

  digest(): Digest {
    const { path: text, wildcard, requiredPaths, followLinks } = this.#selection;
    for (const required of requiredPaths) if (!hasWildcard(required)) this.#resolve(required, true);
    if (isFiltered(this.#selection)) return this.#filtered();
    const found = this.#resolve(text, followLinks, wildcard);
    return found.kind === 'root' ? this.#wholeRoot() : this.#digests.whole('', found.entry);
  }

  #wholeRoot(): Digest {
    const [top] = this.#layers;
    if (top === undefined) return digestOfNothing;
    const list = new EntryListHash();
    const { rootCounts } = this.#selection;
    list.add('', rootCounts ? this.#digests.own('', rootEntry(top, this.#root)) : digestOfNothing);
    this.#digests.addChildren(list, '', this.#root);
    return list.digest();
  }

  #filtered(): Digest {
    const { path: text, wildcard, followLinks } = this.#selection;
    const path = toByteString(text);
    const filter = new PathFilter(this.#selection);
    const list = new FilteredList(this.#digests, filter);
    if (wildcard && hasWildcard(text)) {
      const { base, pattern } = splitPattern(path);
      for (const [name, entry] of matches(this.#root, base, pattern)) {
        const isFollowed = followLinks && entry.stats.isSymbolicLink();
        const target = isFollowed ? resolveMerged(this.#root, `${base}/${name}`, true) : undefined;
        if (target) list.add(name, this.#followed(name, target, filter));
        // A link that leads nowhere stands for itself.
        else list.tree(name, entry);
      }
    } else {
      const found = this.#resolve(text, false, wildcard);
      if (found.kind === 'root') {
        if (this.#layers.length === 0) return digestOfNothing;
        // BuildKit follows such a link, a copy does not.
        list.root(found.directory, followLinks ? (own) => ownDigest('link', own) : undefined);
      } else if (found.entry.stats.isSymbolicLink() && followLinks) {
        list.add('', this.#followed('', this.#resolve(text, true, wildcard), filter));
      } else list.tree('', found.entry);
    }
    return list.isEmpty ? digestOfNothing : list.digest(path.slice(path.lastIndexOf('/') + 1));
  }

  /**
   * Where a selected link leads counts as a whole, without asking which parts of it patterns take. If they do not take the link itself,
   * BuildKit does not count it at all.
   */
  #followed(name: ByteString, target: Resolved, filter: PathFilter): Digest {
    if (filter.takes(filter.enter(filter.start, '')))
      return target.kind === 'root' ? this.#wholeRoot() : this.#digests.whole(name, target.entry);
    const list = new FilteredList(this.#digests, filter);
    if (target.kind === 'root') list.root(target.directory, undefined);
    else list.tree(name, target.entry);
    return ownDigest('unmatched link', list.digest(''));
  }

  /** Throws `not_found`. */
  #resolve(text: string, followLast: boolean, isPattern = true): Resolved {
    const found = resolveMerged(this.#root, literalPath(toByteString(text), isPattern), followLast);
    if (!found) throw missing(this.#root, text);
    return found;
  }
}

/** The root directory as an entry of the tree. */
function rootEntry(path: ByteString, directory: MergedDirectory): MergedEntry {
  const stats = lstatSync(toSystemPath(path), { bigint: true });
  return { name: '', path, layer: 0, stats, directory };
}

/** Returns a `not_found` error that suggests an entry of almost the same name. */
function missing(root: MergedDirectory, path: string): KilnError {
  const names = namesOf(toByteString(path));
  for (const [depth, name] of names.entries()) {
    const above = resolveMerged(root, names.slice(0, depth).join('/'), true);
    const directory = above?.kind === 'root' ? above.directory : above?.entry.directory;
    if (!directory) break;
    if (directory.lookup(name)) continue;
    const present = [...directory.entries()].map((entry) => fromByteString(entry.name));
    const meant = nearestName(fromByteString(name), present);
    if (meant === undefined) break;
    const near = ['', ...names.slice(0, depth).map(fromByteString), meant].join('/');
    return new KilnError(
      'not_found',
      `${JSON.stringify(path)}: not found (did you mean ${JSON.stringify(near)}?)`,
    );
  }
  return new KilnError('not_found', `${JSON.stringify(path)}: not found`);
}

/** Returns the path without the escapes of a pattern. */
function literalPath(path: ByteString, isPattern: boolean): ByteString {
  return isPattern ? path.replace(/\\(.)/gs, '$1') : path;
}

/** Splits a path at its first name with a wildcard. */
function splitPattern(path: ByteString): {
  readonly base: ByteString;
  readonly pattern: readonly ByteString[];
} {
  const names = namesOf(path);
  const first = names.findIndex((name) => hasWildcard(fromByteString(name)));
  return { base: literalPath(names.slice(0, first).join('/'), true), pattern: names.slice(first) };
}

/**
 * Yields the entries that a path with wildcards names, with their paths below its base. As in a copy, links are followed in
 * the base only.
 */
function* matches(
  root: MergedDirectory,
  base: ByteString,
  pattern: readonly ByteString[],
): Generator<[ByteString, MergedEntry]> {
  const found = resolveMerged(root, base, true);
  const directory = found?.kind === 'root' ? found.directory : found?.entry.directory;
  if (!directory) return;
  yield* matchesIn(
    directory,
    pattern.map((name) => compileGlob(fromByteString(name))),
    '',
  );
}

function* matchesIn(
  directory: MergedDirectory,
  tests: readonly ((name: string) => boolean)[],
  prefix: ByteString,
): Generator<[ByteString, MergedEntry]> {
  const [test, ...rest] = tests;
  for (const entry of directory.entries()) {
    if (!test!(fromByteString(entry.name))) continue;
    if (rest.length === 0) yield [prefix + entry.name, entry];
    else if (entry.directory) yield* matchesIn(entry.directory, rest, `${prefix}${entry.name}/`);
  }
}
