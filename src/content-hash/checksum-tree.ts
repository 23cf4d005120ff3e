import { closeSync, openSync, readlinkSync, readSync } from 'node:fs';
import { type Digest, Digester, digestHex } from '../base/digest.ts';
import { KilnError } from '../base/errors.ts';
import { type FilterMatch, PathFilter } from '../base/pattern/path-filter.ts';
import { compileGlob, hasWildcard } from '../base/pattern/pattern.ts';
import { type ByteString, fromByteString, toByteString, toSystemPath } from '../base/text/byte-string.ts';
import { nearestName } from '../base/text/nearest-name.ts';
import { readContentXattrs } from '../tree/layer-xattrs.ts';
import type { MergedDirectory, MergedEntry } from '../tree/merged-directory.ts';
import { namesOf, resolveMerged } from '../tree/resolve-merged.ts';
import type { ContentSelection } from './checksum.ts';
import type { FileContent } from './file-digests.ts';

/** Returns the content of a regular file, and reads it if it is not known. */
export type ContentReader = (entry: MergedEntry) => FileContent;

/** Changes whenever the bytes that are hashed change their meaning. */
const version = 'kiln-content-2';
const separator = '\0';
const readSize = 1 << 20;

/**
 * Returns the digest of what a selection takes from a tree. It covers one record per entry: the entry's path below the selected
 * one (below the part of the selected path without wildcards, if it has any), and what `recordOf` returns. So it does not
 * depend on where the selected entry lies. A directory's own mode and owner count unless the path ends in a slash.
 * Throws `not_found` naming the path. `onHashed` gets every piece of what is hashed (see `content-entry.ts`).
 */
export function checksumTree(
  root: MergedDirectory,
  selection: ContentSelection,
  readContent: ContentReader,
  onHashed?: (bytes: Buffer) => void,
): Digest {
  const hash = new RecordHash(readContent, onHashed);
  const filter = new PathFilter(selection);
  const path = toByteString(selection.path);
  if (selection.wildcard && hasWildcard(selection.path)) {
    const { base, pattern } = splitPattern(path);
    for (const [name, entry] of matches(root, base, pattern)) {
      const isFollowed = selection.followLinks && entry.stats.isSymbolicLink();
      const target = isFollowed ? resolveMerged(root, `${base}/${name}`, true) : undefined;
      // A link that leads nowhere stands for itself.
      hash.tree(name, target?.kind === 'entry' ? target.entry : entry, filter, true);
    }
    return hash.digest();
  }
  const found = resolveMerged(root, literalPath(path, selection.wildcard), selection.followLinks);
  if (!found) throw missing(root, selection.path);
  if (found.kind === 'root') hash.directory('', found.directory, filter, filter.start, []);
  else hash.tree('', found.entry, filter, !path.endsWith('/'));
  return hash.digest();
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

/** A directory that is hashed only once something below it is. */
interface PendingDirectory {
  readonly path: ByteString;
  readonly entry: MergedEntry;
  written: boolean;
}

class RecordHash {
  readonly #digester = new Digester();
  readonly #readContent: ContentReader;
  readonly #onHashed: ((bytes: Buffer) => void) | undefined;
  #pending = version + separator;

  constructor(readContent: ContentReader, onHashed: ((bytes: Buffer) => void) | undefined) {
    this.#readContent = readContent;
    this.#onHashed = onHashed;
  }

  digest(): Digest {
    this.#flush();
    return this.#digester.digest();
  }

  #flush(): void {
    const bytes = Buffer.from(this.#pending, 'latin1');
    this.#pending = '';
    this.#digester.update(bytes);
    this.#onHashed?.(bytes);
  }

  /** Hashes a selected entry and everything in it. */
  tree(path: ByteString, entry: MergedEntry, filter: PathFilter, withOwnRecord: boolean): void {
    if (!entry.directory) {
      this.#record(path, entry);
      return;
    }
    const self: PendingDirectory[] = withOwnRecord ? [{ path, entry, written: false }] : [];
    if (filter.takesAll) this.#recordAll(self);
    this.directory(path === '' ? '' : `${path}/`, entry.directory, filter, filter.start, self);
  }

  /** Hashes what is in a directory. Paths in records begin with `prefix`, those that patterns match with `below`. */
  directory(
    prefix: ByteString,
    directory: MergedDirectory,
    filter: PathFilter,
    matches: FilterMatch,
    parents: readonly PendingDirectory[],
    below = '',
  ): void {
    for (const entry of directory.entries()) {
      const path = prefix + entry.name;
      const self: PendingDirectory = { path, entry, written: false };
      if (filter.takesAll) {
        this.#record(path, entry);
        if (entry.directory) this.directory(`${path}/`, entry.directory, filter, matches, []);
        continue;
      }
      const relative = below + fromByteString(entry.name);
      const own = filter.enter(matches, relative);
      const inside = [...parents, self];
      const taken = filter.takes(own);
      if (taken) this.#recordAll(inside);
      if (entry.directory && (taken || !filter.takesNothingBelow(own, relative))) {
        this.directory(`${path}/`, entry.directory, filter, own, inside, `${relative}/`);
      }
    }
  }

  #recordAll(directories: readonly PendingDirectory[]): void {
    for (const pending of directories) {
      if (pending.written) continue;
      pending.written = true;
      this.#record(pending.path, pending.entry);
    }
  }

  #record(path: ByteString, entry: MergedEntry): void {
    this.#pending += path + separator + recordOf(entry, this.#readContent);
    if (this.#pending.length >= 1 << 16) this.#flush();
  }
}

/**
 * Returns mode (with the type), owner, extended attributes, and by type: size and digest of the data, the target of a link, the
 * number of a device. Neither times nor other names of a file count. Fields end in a zero byte, which none contains; their
 * number follows from the mode. Links and devices hardly ever have attributes: these follow the group, after a space.
 */
function recordOf(entry: MergedEntry, readContent: ContentReader): ByteString {
  const { stats } = entry;
  const isLink = stats.isSymbolicLink();
  const fields = [isLink ? '120777' : stats.mode.toString(8), stats.uid];
  if (stats.isFile()) {
    const content = readContent(entry);
    fields.push(stats.gid, stats.size, content.xattrs, content.digest);
  } else if (entry.directory) fields.push(stats.gid, xattrsOf(entry.path));
  else {
    const xattrs = xattrsOf(entry.path);
    fields.push(xattrs === '' ? stats.gid : `${stats.gid} ${xattrs}`);
    fields.push(isLink ? readlinkSync(toSystemPath(entry.path), 'latin1') : stats.rdev);
  }
  return fields.join(separator) + separator;
}

/** Reads a regular file's content. */
export function readFileContent(path: ByteString, size: bigint, throwIfAborted: () => void): FileContent {
  const digester = new Digester();
  const xattrs = xattrsOf(path);
  if (size > 0n) {
    const buffer = Buffer.allocUnsafe(Number(size < BigInt(readSize) ? size : BigInt(readSize)));
    const file = openSync(toSystemPath(path), 'r');
    try {
      for (let read = 1; read > 0; ) {
        throwIfAborted();
        read = readSync(file, buffer, 0, buffer.length, null);
        digester.update(buffer.subarray(0, read));
      }
    } finally {
      closeSync(file);
    }
  }
  return { digest: digestHex(digester.digest()), xattrs };
}

/** Returns names and values in hex, in which nothing can be taken for a separator. */
export function xattrsOf(path: ByteString): ByteString {
  const xattrs = readContentXattrs(path);
  if (!xattrs) return '';
  return [...xattrs]
    .map(
      ([name, value]) =>
        `${Buffer.from(name).toString('hex')}=${Buffer.from(value, 'latin1').toString('hex')}`,
    )
    .join(' ');
}
