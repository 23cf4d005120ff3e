import { chmodSync, lchownSync, lstatSync, mkdirSync } from 'node:fs';
import path from 'node:path';
import { KilnError } from '../base/errors.ts';
import { utimens } from '../linux/utimens.ts';
import type { OwnerNumbers } from './resolve-owner.ts';

/** What new directories get. */
export interface DirectoryAttributes {
  readonly mode: number;
  readonly owner?: OwnerNumbers;
  /** Nanoseconds since 1970. */
  readonly timestamp?: bigint;
}

/**
 * Makes `dir` (resolved inside its root already) and the parents it lacks. Existing ones stay as they are. Answers the
 * new ones, outermost first; making more in them changes their times again, see `setTimes`. Blocks.
 */
export function makeDirectories(dir: string, attributes: DirectoryAttributes): string[] {
  const stat = lstatSync(dir, { throwIfNoEntry: false });
  if (stat?.isDirectory()) return [];
  if (stat) throw new KilnError('failed_precondition', `${dir} exists and is not a directory`);
  const made = makeDirectories(path.dirname(dir), attributes);
  makeDirectory(dir, attributes);
  return [...made, dir];
}

/** Throws EEXIST. */
export function makeDirectory(dir: string, { mode, owner }: DirectoryAttributes): void {
  mkdirSync(dir);
  if (owner) lchownSync(dir, owner.uid, owner.gid);
  // Not by mkdir: the umask and a parent's set-group-id bit would have their say.
  chmodSync(dir, mode);
}

/** Gives directories their time, innermost first, once nothing more is made in them. */
export function setTimes(dirs: readonly string[], timestamp: bigint | undefined): void {
  if (timestamp === undefined) return;
  for (const dir of dirs.toReversed()) utimens(dir, timestamp, timestamp);
}
