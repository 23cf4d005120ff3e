import path from 'node:path';
import { asKilnError, KilnError } from '../base/errors.ts';
import { toByteString } from '../base/text/byte-string.ts';
import type { FileChange, FileMkdir, FileMkfile, FileRm, FileSymlink } from '../llb/op.ts';
import { resolveInTree } from '../tree/resolve-in-tree.ts';
import { lookupIfThere } from '../tree/tree.ts';
import type { TreeMaker } from '../tree/tree-maker.ts';
import { applyCopy } from './apply-copy.ts';
import type { PreparedAction } from './file-op.ts';
import { findMatches } from './find-matches.ts';
import { type DirectoryAttributes, makeDirectories, makeDirectory, setTimes } from './make-directories.ts';
import { resolveOwner } from './resolve-owner.ts';
import { sameTimes } from './same-times.ts';

/** Makes one change to the action's target, of which `tree` is the maker. Errors name paths as they are inside the trees. Blocks. */
export async function applyChange(
  action: PreparedAction,
  tree: TreeMaker,
  throwIfAborted: () => void,
): Promise<void> {
  const { change } = action;
  try {
    switch (change.kind) {
      case 'mkdir':
        return applyMkdir(change, action, tree);
      case 'mkfile':
        return applyMkfile(change, action, tree);
      case 'symlink':
        return applySymlink(change, action, tree);
      case 'rm':
        return applyRm(change, tree);
      case 'copy':
        return await applyCopy(change, action, tree, throwIfAborted);
      default:
        change satisfies never;
    }
  } catch (error) {
    throw inTreeTerms(error, action);
  }
}

function applyMkdir(mkdir: FileMkdir, { owners }: PreparedAction, tree: TreeMaker): void {
  const dir = resolveInTree(tree, toByteString(mkdir.path));
  const owner = resolveOwner(mkdir.owner, owners);
  const attributes: DirectoryAttributes = { mode: mkdir.mode & 0o777, owner, timestamp: mkdir.timestamp };
  if (mkdir.makeParents) {
    setTimes(tree, makeDirectories(tree, dir, attributes), mkdir.timestamp);
    return;
  }
  if (lookupIfThere(tree, dir)?.kind === 'directory') return;
  makeDirectory(tree, dir, attributes);
  setTimes(tree, [dir], mkdir.timestamp);
}

function applyMkfile(mkfile: FileMkfile, { owners }: PreparedAction, tree: TreeMaker): void {
  const file = resolveInTree(tree, toByteString(mkfile.path));
  const existing = tree.lookup(file);
  if (existing?.kind === 'directory') {
    throw new KilnError(
      'failed_precondition',
      `cannot make the file ${mkfile.path}: a directory has its name`,
    );
  }
  // Replaced rather than written to: its other names keep what they have. What it was stays, but for the content.
  if (existing) tree.remove(file);
  const metadata = {
    owner: resolveOwner(mkfile.owner, owners) ?? existing,
    mode: existing?.mode ?? mkfile.mode & 0o777,
    times: sameTimes(mkfile.timestamp),
  };
  tree.add(file, { kind: 'file', metadata, data: mkfile.data });
}

function applySymlink(symlink: FileSymlink, { owners }: PreparedAction, tree: TreeMaker): void {
  const file = resolveInTree(tree, toByteString(symlink.newPath));
  const metadata = {
    owner: resolveOwner(symlink.owner, owners),
    times: sameTimes(symlink.timestamp),
  };
  tree.add(file, { kind: 'symlink', metadata, target: toByteString(symlink.oldPath) });
}

/** A wildcard that matches nothing removes nothing; a plain name that does not exist is an error unless allowed. */
function applyRm(rm: FileRm, tree: TreeMaker): void {
  const name = path.posix.resolve('/', rm.path);
  if (name === '/') throw new KilnError('invalid_argument', 'cannot remove the root directory');
  if (rm.allowWildcard) {
    for (const { file } of findMatches(tree, name, { followLast: false }) ?? []) tree.remove(file);
    return;
  }
  const file = resolveInTree(tree, toByteString(name), { followLast: false });
  if (!rm.allowNotFound && !tree.lookup(file)) {
    throw new KilnError('not_found', `cannot remove ${name}: it does not exist`);
  }
  tree.remove(file);
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
