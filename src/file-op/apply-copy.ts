import { lstatSync, readdirSync, statSync } from 'node:fs';
import path from 'node:path';
import { KilnError } from '../base/errors.ts';
import { hasWildcard, PatternMatcher } from '../base/pattern/pattern.ts';
import { resolveInRoot } from '../base/rooted-path.ts';
import { type ByteString, fromByteString, toByteString, toSystemPath } from '../base/text/byte-string.ts';
import { nearestName } from '../base/text/nearest-name.ts';
import type { FileCopy } from '../llb/op.ts';
import { isArchive, unpackArchive } from './archive.ts';
import type { PreparedAction } from './file-op.ts';
import { findMatches, type Match } from './find-matches.ts';
import { type DirectoryAttributes, makeDirectories, setTimes } from './make-directories.ts';
import { parseModeChange } from './mode-change.ts';
import { resolveOwner } from './resolve-owner.ts';
import { TreeCopier } from './tree-copier.ts';

const defaultDirectoryMode = 0o755;

/** Copies what `copy.src` names in the source tree to `copy.dest` in the target tree. Blocks. */
export async function applyCopy(
  copy: FileCopy,
  { target, source, owners }: PreparedAction,
  throwIfAborted: () => void,
): Promise<void> {
  if (!source) throw new KilnError('internal', `copy of ${copy.src}: no source tree was given`);
  const root = source.path;
  const owner = resolveOwner(copy.owner, owners);
  const octal = copy.mode;
  const attributes: DirectoryAttributes = {
    mode: octal === undefined ? defaultDirectoryMode : octal & 0o777,
    owner,
    timestamp: copy.timestamp,
  };
  if (!copy.createDestPath) requireParent(target, copy.dest);
  for (const name of copy.requiredPaths) requireSource(root, name);
  const newCopier = () =>
    new TreeCopier({
      owner,
      mode:
        copy.modeString !== ''
          ? parseModeChange(copy.modeString)
          : octal === undefined
            ? undefined
            : () => octal & 0o7777,
      timestamp: copy.timestamp,
      include: copy.includePatterns.length > 0 ? new PatternMatcher(copy.includePatterns) : undefined,
      exclude: copy.excludePatterns.length > 0 ? new PatternMatcher(copy.excludePatterns) : undefined,
      replace: copy.alwaysReplaceExistingDestPaths,
      throwIfAborted,
    });

  for (const match of findSources(root, copy)) {
    if (copy.unpackArchive && (await unpackedInto(target, copy, match, root, attributes, throwIfAborted)))
      continue;
    const made = copyOne(newCopier(), target, copy, match, attributes);
    setTimes(made, copy.timestamp);
  }
}

/** What the copy names in the source tree at `root`. Throws `not_found`. */
export function findSources(root: string, copy: FileCopy): Match[] {
  const options = { followLast: copy.followSymlink };
  if (!copy.allowWildcard) {
    const file = toByteString(resolveInRoot(root, copy.src, options));
    requireSource(root, copy.src);
    return [{ file, name: toByteString(path.posix.resolve('/', copy.src)) }];
  }
  const pattern = path.posix.resolve('/', copy.src);
  let matches: Match[];
  try {
    matches = findMatches(root, pattern, { followLast: copy.followSymlink });
  } catch (error) {
    throw (error as { code?: unknown }).code === 'ENOENT' ? missing(root, copy.src) : error;
  }
  const present = matches.filter(({ file }) => lstatSync(toSystemPath(file), { throwIfNoEntry: false }));
  if (present.length === 0) {
    // What has no wildcard names one file, which has to be there.
    if (copy.allowEmptyWildcard && hasWildcard(pattern)) return [];
    throw missing(root, copy.src);
  }
  return copy.followSymlink ? present.map((match) => followed(root, match)) : present;
}

function followed(root: string, match: Match): Match {
  if (!lstatSync(toSystemPath(match.file)).isSymbolicLink()) return match;
  const file = resolveInRoot(root, fromByteString(match.name));
  if (!lstatSync(file, { throwIfNoEntry: false })) throw missing(root, fromByteString(match.name));
  return { file: toByteString(file), name: match.name };
}

/** Answers the directories it made on the way to the destination. */
function copyOne(
  copier: TreeCopier,
  root: string,
  copy: FileCopy,
  { file, name }: Match,
  attributes: DirectoryAttributes,
): string[] {
  const isDirectory = lstatSync(toSystemPath(file)).isDirectory();
  // `dir/` and `dir/.` say that the destination is a directory, so it is made; otherwise only its parent is.
  const names = copy.dest.split('/');
  const last = names.at(-1);
  const container =
    last === '' || last === '.' ? copy.dest : path.posix.dirname(path.posix.resolve('/', copy.dest));
  const made = makeDirectories(resolveInRoot(root, container), attributes);

  const dest = resolveInRoot(root, copy.dest);
  const existing = statSync(dest, { throwIfNoEntry: false });
  const goesInside = isDirectory
    ? existing !== undefined && !copy.dirCopyContents
    : existing?.isDirectory() === true;
  const destBytes = toByteString(dest);
  const base = name.slice(name.lastIndexOf('/') + 1);
  const target: ByteString =
    goesInside && base !== '' ? `${destBytes === '/' ? '' : destBytes}/${base}` : destBytes;
  const makeTarget = isDirectory && copy.dirCopyContents && existing === undefined;
  made.push(...makeDirectories(makeTarget ? dest : goesInside ? dest : path.dirname(dest), attributes));
  copier.copy(file, target);
  return made;
}

/** Answers whether the match was an archive, then unpacked. */
async function unpackedInto(
  target: string,
  copy: FileCopy,
  match: Match,
  root: string,
  attributes: DirectoryAttributes,
  throwIfAborted: () => void,
): Promise<boolean> {
  const { file } = followed(root, match);
  if (!lstatSync(toSystemPath(file)).isFile() || !(await isArchive(file))) return false;
  const dir = resolveInRoot(target, copy.dest);
  const made = makeDirectories(dir, { ...attributes, mode: defaultDirectoryMode });
  await unpackArchive(file, toByteString(dir), attributes.owner, throwIfAborted);
  setTimes(made, copy.timestamp);
  return true;
}

function requireParent(root: string, dest: string): void {
  const parent = path.dirname(resolveInRoot(root, dest));
  if (lstatSync(parent, { throwIfNoEntry: false })) return;
  throw new KilnError('not_found', `cannot copy to ${dest}: its directory does not exist`);
}

function requireSource(root: string, name: string): void {
  const file = resolveInRoot(root, name, { followLast: false });
  if (!lstatSync(file, { throwIfNoEntry: false })) throw missing(root, name);
}

/** `not_found`, with what does exist there and has almost the same name. */
function missing(root: string, name: string): KilnError {
  const wanted = path.posix.resolve('/', name);
  const names = wanted.split('/').filter(Boolean);
  for (let depth = 0; depth < names.length; depth++) {
    const dir = resolveInRoot(root, names.slice(0, depth).join('/'));
    if (!statSync(dir, { throwIfNoEntry: false })?.isDirectory()) break;
    const entries = readdirSync(dir);
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
