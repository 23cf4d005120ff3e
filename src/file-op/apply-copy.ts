import path from 'node:path';
import { KilnError } from '../base/errors.ts';
import { nearestName } from '../base/nearest/nearest-name.ts';
import { PathFilter } from '../base/pattern/path-filter.ts';
import { hasWildcard } from '../base/pattern/pattern.ts';
import { type ByteString, fromByteString, toByteString } from '../base/text/byte-string.ts';
import type { FileCopy } from '../llb/op.ts';
import { DirectoryTree } from '../tree/directory-tree.ts';
import { resolveInTree } from '../tree/resolve-in-tree.ts';
import { lookupIfThere, parentOf, pathIn, type Tree } from '../tree/tree.ts';
import type { TreeMaker } from '../tree/tree-maker.ts';
import { isArchive, unpackArchive } from './archive.ts';
import type { PreparedAction } from './file-op.ts';
import { findMatches, type Match } from './find-matches.ts';
import { type DirectoryAttributes, makeDirectories, setTimes } from './make-directories.ts';
import { type ModeChange, parseModeChange } from './mode-change.ts';
import { resolveOwner } from './resolve-owner.ts';
import { TreeCopier, type TreeCopierOptions } from './tree-copier.ts';

const defaultDirectoryMode = 0o755;

/** Copies what `copy.src` names in the source tree to `copy.dest` in the tree that `tree` makes. Blocks. */
export async function applyCopy(
  copy: FileCopy,
  { source, owners }: PreparedAction,
  tree: TreeMaker,
  throwIfAborted: () => void,
): Promise<void> {
  if (!source) throw new KilnError('internal', `copy of ${copy.src}: no source tree was given`);
  const from = new DirectoryTree(toByteString(source.path));
  const owner = resolveOwner(copy.owner, owners);
  const octal = copy.mode;
  const attributes: DirectoryAttributes = {
    mode: octal === undefined ? defaultDirectoryMode : octal & 0o777,
    owner,
    timestamp: copy.timestamp,
  };
  if (!copy.createDestPath) requireParent(tree, copy.dest);
  for (const name of copy.requiredPaths) requireSource(from, name);
  const matches = findSources(from, copy);
  const options: TreeCopierOptions = {
    owner,
    mode: modeChangeOf(copy),
    timestamp: copy.timestamp,
    filter: new PathFilter(copy),
    replace: copy.alwaysReplaceExistingDestPaths,
    throwIfAborted,
  };
  for (const match of matches) {
    if (copy.unpackArchive && (await unpackedInto(tree, copy, match, from, attributes, throwIfAborted)))
      continue;
    const copier = new TreeCopier(tree, options);
    setTimes(tree, copyOne(copier, tree, copy, from, match, attributes), copy.timestamp);
  }
}

function modeChangeOf({ modeString, mode }: FileCopy): ModeChange | undefined {
  if (modeString !== '') return parseModeChange(modeString);
  return mode === undefined ? undefined : () => mode & 0o7777;
}

/** What the copy names in the source tree. Throws `not_found`. */
export function findSources(source: Tree, copy: FileCopy): Match[] {
  const options = { followLast: copy.followSymlink };
  if (!copy.allowWildcard) {
    const file = resolveInTree(source, toByteString(copy.src), options);
    requireSource(source, copy.src);
    return [{ file, name: toByteString(path.posix.resolve('/', copy.src)) }];
  }
  const pattern = path.posix.resolve('/', copy.src);
  const matches = findMatches(source, pattern, options);
  if (!matches) throw missing(source, copy.src);
  const present = matches.filter(({ file }) => source.lookup(file));
  if (present.length === 0) {
    // What has no wildcard names one file, which has to be there.
    if (copy.allowEmptyWildcard && hasWildcard(pattern)) return [];
    throw missing(source, copy.src);
  }
  return copy.followSymlink ? present.map((match) => followed(source, match)) : present;
}

function followed(source: Tree, match: Match): Match {
  if (source.lookup(match.file)?.kind !== 'symlink') return match;
  const file = resolveInTree(source, match.name);
  if (!source.lookup(file)) throw missing(source, fromByteString(match.name));
  return { file, name: match.name };
}

/** Returns the directories it made on the way to the destination. */
function copyOne(
  copier: TreeCopier,
  tree: TreeMaker,
  copy: FileCopy,
  source: DirectoryTree,
  { file, name }: Match,
  attributes: DirectoryAttributes,
): ByteString[] {
  const isDirectory = source.lookup(file)?.kind === 'directory';
  // `dir/` and `dir/.` say that the destination is a directory, so it is made; otherwise only its parent is.
  const names = copy.dest.split('/');
  const last = names.at(-1);
  const container =
    last === '' || last === '.' ? copy.dest : path.posix.dirname(path.posix.resolve('/', copy.dest));
  const made = makeDirectories(tree, resolveInTree(tree, toByteString(container)), attributes);

  const dest = resolveInTree(tree, toByteString(copy.dest));
  const existing = lookupIfThere(tree, dest);
  const goesInside = isDirectory
    ? existing !== undefined && !copy.dirCopyContents
    : existing?.kind === 'directory';
  const base = name.slice(name.lastIndexOf('/') + 1);
  const target = goesInside && base !== '' ? pathIn(dest, base) : dest;
  const makeTarget = isDirectory && copy.dirCopyContents && existing === undefined;
  made.push(...makeDirectories(tree, makeTarget || goesInside ? dest : parentOf(dest), attributes));
  copier.copy(source.fileAt(file), target);
  return made;
}

/** Returns whether the match was an archive, then unpacked. */
async function unpackedInto(
  tree: TreeMaker,
  copy: FileCopy,
  match: Match,
  source: DirectoryTree,
  attributes: DirectoryAttributes,
  throwIfAborted: () => void,
): Promise<boolean> {
  const { file } = followed(source, match);
  if (source.lookup(file)?.kind !== 'file' || !(await isArchive(source.fileAt(file)))) return false;
  const dir = resolveInTree(tree, toByteString(copy.dest));
  const made = makeDirectories(tree, dir, { ...attributes, mode: defaultDirectoryMode });
  await unpackArchive(source.fileAt(file), tree, dir, attributes.owner, throwIfAborted);
  setTimes(tree, made, copy.timestamp);
  return true;
}

function requireParent(tree: Tree, dest: string): void {
  const parent = parentOf(resolveInTree(tree, toByteString(dest)));
  if (tree.lookup(parent)) return;
  throw new KilnError('not_found', `cannot copy to ${dest}: its directory does not exist`);
}

function requireSource(source: Tree, name: string): void {
  const file = resolveInTree(source, toByteString(name), { followLast: false });
  if (!source.lookup(file)) throw missing(source, name);
}

/** `not_found`, with what does exist there and has almost the same name. */
function missing(source: Tree, name: string): KilnError {
  const wanted = path.posix.resolve('/', name);
  const names = wanted.split('/').filter(Boolean);
  for (let depth = 0; depth < names.length; depth++) {
    const dir = resolveInTree(source, toByteString(names.slice(0, depth).join('/')));
    if (lookupIfThere(source, dir)?.kind !== 'directory') break;
    const entries = source.names(dir).map(fromByteString);
    if (entries.includes(names[depth]!)) continue;
    const nearest = nearestName(names[depth]!, entries);
    if (nearest === undefined) break;
    const meant = `/${[...names.slice(0, depth), nearest, ...names.slice(depth + 1)].join('/')}`;
    return new KilnError('not_found', `${wanted}: no such file or directory`, {
      hint: `did you mean ${meant}?`,
    });
  }
  return new KilnError('not_found', `${wanted}: no such file or directory`);
}
