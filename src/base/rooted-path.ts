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
 * The result holds as long as nobody changes the tree. Throws `failed_precondition` for a circle of links,
 * `invalid_argument` for a name with a NUL. Blocks.
 */
export function resolveInRoot(
  root: string,
  name: string,
  options: { readonly followLast?: boolean } = {},
): string {
  const at = (parts: readonly string[]) => path.join(root, ...parts);
  return at(followLinks(name, (parts) => linkTarget(at(parts), root, name), options));
}

/**
 * Returns the names on the way from a root, which is never left, to what `name` stands for. `target` returns what the link at the given
 * names holds, or undefined where there is none. `show` makes `name` readable in messages. Throws `failed_precondition` for a circle of links,
 * `invalid_argument` for a name with a NUL.
 */
export function followLinks(
  name: string,
  target: (parts: readonly string[]) => string | undefined,
  options: { readonly followLast?: boolean; readonly show?: (name: string) => string } = {},
): readonly string[] {
  if (name.includes('\0')) {
    const shown = JSON.stringify(options.show?.(name) ?? name).slice(0, 200);
    throw new KilnError('invalid_argument', `${shown} has a NUL, which no path of a file can have`);
  }
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
    const held = isLast && !followLast ? undefined : target([...resolved, part]);
    if (held === undefined) {
      resolved.push(part);
      continue;
    }
    if (++links > maxLinks)
      throw new KilnError(
        'failed_precondition',
        `${options.show?.(name) ?? name}: too many levels of symbolic links`,
      );
    if (held.startsWith('/')) resolved = [];
    pending.push(...held.split('/').reverse());
  }
  return resolved;
}

/** What the link at `file` holds; undefined when it is no link or does not exist. */
function linkTarget(file: string, root: string, name: string): string | undefined {
  try {
    return lstatSync(file).isSymbolicLink() ? readlinkSync(file) : undefined;
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === 'ENOENT' || errno === 'ENOTDIR' || errno === 'ENAMETOOLONG') return undefined;
    throw new KilnError('unknown', `${name} in ${root}: ${(error as Error).message}`, { cause: error });
  }
}
