import { KilnError } from '../base/errors.ts';
import { type ByteString, fromByteString } from '../base/text/byte-string.ts';
import { parentOf } from '../tree/tree.ts';
import type { TreeMaker } from '../tree/tree-maker.ts';
import type { OwnerNumbers } from './resolve-owner.ts';
import { sameTimes } from './same-times.ts';

/** What new directories get. */
export interface DirectoryAttributes {
  readonly mode: number;
  readonly owner?: OwnerNumbers;
  /** Nanoseconds since 1970. */
  readonly timestamp?: bigint;
}

/**
 * Makes the directory `dir`, to which no link leads, and the parents it lacks. Existing ones stay as they are. Returns the
 * new ones, outermost first; making more in them changes their times again, see `setTimes`. Blocks.
 */
export function makeDirectories(
  tree: TreeMaker,
  dir: ByteString,
  attributes: DirectoryAttributes,
): ByteString[] {
  const found = tree.lookup(dir);
  if (found?.kind === 'directory') return [];
  if (found) {
    throw new KilnError('failed_precondition', `/${fromByteString(dir)} exists and is not a directory`);
  }
  const made = makeDirectories(tree, parentOf(dir), attributes);
  makeDirectory(tree, dir, attributes);
  return [...made, dir];
}

/** Throws EEXIST. */
export function makeDirectory(tree: TreeMaker, dir: ByteString, { mode, owner }: DirectoryAttributes): void {
  tree.add(dir, { kind: 'directory', metadata: { mode, owner } });
}

/** Gives directories their time, innermost first, once nothing more is made in them. */
export function setTimes(tree: TreeMaker, dirs: readonly ByteString[], timestamp: bigint | undefined): void {
  const times = sameTimes(timestamp);
  if (!times) return;
  for (const dir of dirs.toReversed()) tree.setMetadata(dir, { times });
}
