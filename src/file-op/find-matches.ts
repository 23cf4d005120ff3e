import { lstatSync, readdirSync } from 'node:fs';
import { compileGlob, hasWildcard } from '../base/pattern/pattern.ts';
import { resolveInRoot } from '../base/rooted-path.ts';
import { type ByteString, fromByteString, toByteString, toSystemPath } from '../base/text/byte-string.ts';

/** A file in a tree. */
export interface Match {
  /** On the host; no link leads to it. */
  readonly file: ByteString;
  /** In the tree, absolute, as the pattern has it. */
  readonly name: ByteString;
}

/**
 * The files of the tree at `root` that `pattern` (absolute, Go's `filepath.Match` name by name) matches, in order. Leading
 * names without wildcards may be links, which are resolved inside the tree (the last one only with `followLast`); what a
 * wildcard matches is not followed. Throws ENOENT when the literal part does not exist.
 */
export function findMatches(
  root: string,
  pattern: string,
  options: { readonly followLast: boolean },
): Match[] {
  const names = pattern.split('/').filter((name) => name !== '' && name !== '.');
  const wild = names.findIndex((name) => hasWildcard(name));
  const literal = `/${(wild < 0 ? names : names.slice(0, wild)).join('/')}`;
  const start: Match = {
    file: toByteString(resolveInRoot(root, literal, { followLast: wild >= 0 || options.followLast })),
    name: toByteString(literal === '/' ? '' : literal),
  };
  if (wild < 0) return [start];
  lstatSync(toSystemPath(start.file));
  return names
    .slice(wild)
    .reduce<Match[]>((dirs, name) => dirs.flatMap((dir) => entriesLike(dir, name)), [start]);
}

/** The entries of a directory whose names match; none of anything else. */
function entriesLike(dir: Match, pattern: string): Match[] {
  if (!lstatSync(toSystemPath(dir.file)).isDirectory()) return [];
  const test = compileGlob(pattern);
  return readdirSync(toSystemPath(dir.file), 'latin1')
    .filter((name) => test(fromByteString(name)))
    .sort((a, b) => (a < b ? -1 : 1))
    .map((name) => ({ file: `${dir.file}/${name}`, name: `${dir.name}/${name}` }));
}
