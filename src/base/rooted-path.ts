import { lstatSync, readlinkSync } from 'node:fs';
import path from 'node:path';
import { errnoOf, KilnError } from './errors.ts';

/** As many links as the kernel follows in one path (path_resolution(7)). */
const maxLinks = 40;

/**
 * Where `name` is inside the tree at `root`, resolved as a process with that root would: an absolute link starts at `root`,
 * and `..` does not lead above it. What does not exist is kept as written. With `followLast: false` a link
 * in the last place is not followed.
 *
 * The answer holds as long as nobody changes the tree. Throws `failed_precondition` for a circle of links. Blocks.
 */
export function resolveInRoot(
  root: string,
  name: string,
  options: { readonly followLast?: boolean } = {},
): string {
  const followLast = options.followLast ?? true;
  const pending = name.split('/').reverse();
  let resolved: string[] = [];
  let links = 0;
  while (pending.length > 0) {
    const part = pending.pop()!;
    if (part === '' || part === '.') continue;
    if (part === '..') {
      resolved.pop();
      continue;
    }
    const isLast = pending.every((rest) => rest === '' || rest === '.');
    const target =
      isLast && !followLast ? undefined : linkTarget(path.join(root, ...resolved, part), root, name);
    if (target === undefined) {
      resolved.push(part);
      continue;
    }
    if (++links > maxLinks)
      throw new KilnError('failed_precondition', `${name}: too many levels of symbolic links`);
    if (target.startsWith('/')) resolved = [];
    pending.push(...target.split('/').reverse());
  }
  return path.join(root, ...resolved);
}

/** What the link at `file` holds; undefined when it is no link or does not exist. */
function linkTarget(file: string, root: string, name: string): string | undefined {
  try {
    return lstatSync(file).isSymbolicLink() ? readlinkSync(file) : undefined;
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === 'ENOENT' || errno === 'ENOTDIR') return undefined;
    throw new KilnError('unknown', `${name} in ${root}: ${(error as Error).message}`, { cause: error });
  }
}
