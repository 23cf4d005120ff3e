import {
  chmodSync,
  lchownSync,
  lstatSync,
  rmSync,
  statSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { asKilnError, errnoOf, KilnError } from '../base/errors.ts';
import { resolveInRoot } from '../base/rooted-path.ts';
import { toSystemPath } from '../base/text/byte-string.ts';
import { utimens } from '../linux/utimens.ts';
import type { FileChange, FileMkdir, FileMkfile, FileRm, FileSymlink } from '../llb/op.ts';
import { applyCopy } from './apply-copy.ts';
import type { PreparedAction } from './file-op.ts';
import { findMatches } from './find-matches.ts';
import { makeDirectories, makeDirectory, setTimes } from './make-directories.ts';
import { resolveOwner } from './resolve-owner.ts';

/** Makes one change. Errors name paths as they are inside the trees. Blocks. */
export async function applyChange(action: PreparedAction, throwIfAborted: () => void): Promise<void> {
  const { change } = action;
  try {
    switch (change.kind) {
      case 'mkdir':
        return applyMkdir(change, action);
      case 'mkfile':
        return applyMkfile(change, action);
      case 'symlink':
        return applySymlink(change, action);
      case 'rm':
        return applyRm(change, action.target);
      case 'copy':
        return await applyCopy(change, action, throwIfAborted);
      default:
        change satisfies never;
    }
  } catch (error) {
    throw inTreeTerms(error, action);
  }
}

function applyMkdir(mkdir: FileMkdir, { target, owners }: PreparedAction): void {
  const dir = resolveInRoot(target, mkdir.path);
  const owner = resolveOwner(mkdir.owner, owners);
  const attributes = { mode: mkdir.mode & 0o777, owner, timestamp: mkdir.timestamp };
  if (mkdir.makeParents) {
    setTimes(makeDirectories(dir, attributes), mkdir.timestamp);
    return;
  }
  const existing = statSync(dir, { throwIfNoEntry: false });
  if (existing?.isDirectory()) return;
  makeDirectory(dir, attributes);
  setTimes([dir], mkdir.timestamp);
}

function applyMkfile(mkfile: FileMkfile, { target, owners }: PreparedAction): void {
  const file = resolveInRoot(target, mkfile.path);
  const existing = lstatSync(file, { throwIfNoEntry: false });
  if (existing?.isDirectory()) {
    throw new KilnError(
      'failed_precondition',
      `cannot make the file ${mkfile.path}: a directory has its name`,
    );
  }
  // Replaced rather than written to: its other names keep what they have. What it was stays, but for the content.
  if (existing) unlinkSync(file);
  writeFileSync(file, mkfile.data, { flag: 'wx', mode: 0o600 });
  const owner = resolveOwner(mkfile.owner, owners) ?? existing;
  if (owner) lchownSync(file, owner.uid, owner.gid);
  chmodSync(file, existing ? existing.mode & 0o7777 : mkfile.mode & 0o777);
  if (mkfile.timestamp !== undefined) utimens(file, mkfile.timestamp, mkfile.timestamp);
}

function applySymlink(symlink: FileSymlink, { target, owners }: PreparedAction): void {
  const file = resolveInRoot(target, symlink.newPath);
  symlinkSync(symlink.oldPath, file);
  const owner = resolveOwner(symlink.owner, owners);
  if (owner) lchownSync(file, owner.uid, owner.gid);
  if (symlink.timestamp !== undefined) utimens(file, symlink.timestamp, symlink.timestamp);
}

/** A wildcard that matches nothing removes nothing; a plain name that does not exist is an error unless allowed. */
function applyRm(rm: FileRm, root: string): void {
  const name = path.posix.resolve('/', rm.path);
  if (name === '/') throw new KilnError('invalid_argument', 'cannot remove the root directory');
  if (rm.allowWildcard) {
    for (const { file } of matchesOf(root, name))
      rmSync(toSystemPath(file), { recursive: true, force: true });
    return;
  }
  const file = resolveInRoot(root, name, { followLast: false });
  if (!rm.allowNotFound && !lstatSync(file, { throwIfNoEntry: false })) {
    throw new KilnError('not_found', `cannot remove ${name}: it does not exist`);
  }
  rmSync(file, { recursive: true, force: true });
}

function matchesOf(root: string, pattern: string): ReturnType<typeof findMatches> {
  try {
    return findMatches(root, pattern, { followLast: false });
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return [];
    throw error;
  }
}

/** Host paths mean nothing to whoever wrote the change. */
function inTreeTerms(error: unknown, { change, target, source }: PreparedAction): KilnError {
  const known = asKilnError(error);
  if (known.code === 'canceled') return known;
  let { message } = known;
  for (const root of [target, source?.path]) if (root) message = message.replaceAll(root, '');
  const plain = new KilnError(known.code, message, {
    cause: error,
    hint: known.hint,
    details: known.details,
  });
  return plain.wrap(describe(change));
}

function describe(change: FileChange): string {
  switch (change.kind) {
    case 'copy':
      return `copy ${change.src} to ${change.dest}`;
    case 'symlink':
      return `symlink ${change.newPath}`;
    default:
      return `${change.kind} ${change.path}`;
  }
}
