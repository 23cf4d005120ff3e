import { readlinkSync } from 'node:fs';
import { KilnError } from '../base/errors.ts';
import { type ByteString, fromByteString, toSystemPath } from '../base/text/byte-string.ts';
import type { MergedDirectory, MergedEntry } from './merged-directory.ts';

const maximumLinks = 255;

/** Where a path leads: an entry of the tree, or its root. */
export type Resolved =
  | { readonly kind: 'root'; readonly directory: MergedDirectory }
  | { readonly kind: 'entry'; readonly entry: MergedEntry };

/**
 * Follows a path from the root of a tree; symbolic links and `..` on the way stay inside it, a link at the end is followed
 * if asked for. Undefined when the path does not exist.
 */
export function resolveMerged(
  root: MergedDirectory,
  path: ByteString,
  followLast: boolean,
): Resolved | undefined {
  const pending = namesOf(path).reverse();
  const passed: MergedEntry[] = [];
  let links = 0;
  for (let name = pending.pop(); name !== undefined; name = pending.pop()) {
    if (name === '..') {
      passed.pop();
      continue;
    }
    const last = passed.at(-1);
    const directory = last ? last.directory : root;
    const entry = directory?.lookup(name);
    if (!entry) return undefined;
    if (!entry.stats.isSymbolicLink() || (pending.length === 0 && !followLast)) {
      passed.push(entry);
      continue;
    }
    if (++links > maximumLinks) {
      throw new KilnError(
        'failed_precondition',
        `${fromByteString(path)} leads through too many symbolic links`,
      );
    }
    const target = readlinkSync(toSystemPath(entry.path), 'latin1');
    if (target.startsWith('/')) passed.length = 0;
    pending.push(...namesOf(target).reverse());
  }
  const entry = passed.at(-1);
  return entry ? { kind: 'entry', entry } : { kind: 'root', directory: root };
}

export function namesOf(path: ByteString): ByteString[] {
  return path.split('/').filter((name) => name !== '' && name !== '.');
}
