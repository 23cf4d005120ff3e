import { compileGlob, hasWildcard } from '../base/pattern/pattern.ts';
import { type ByteString, fromByteString, toByteString } from '../base/text/byte-string.ts';
import { resolveInTree } from '../tree/resolve-in-tree.ts';
import { pathIn, type Tree } from '../tree/tree.ts';

/** A file in a tree. */
export interface Match {
  /** Where it is in the tree; no link leads to it. */
  readonly file: ByteString;
  /** Its absolute path as the pattern has it, which links may lead through. */
  readonly name: ByteString;
}

/**
 * The files of a tree that `pattern` (absolute, Go's `filepath.Match` name by name) matches, in order. Leading
 * names without wildcards may be links, which are resolved inside the tree (the last one only with `followLast`); what a
 * wildcard matches is not followed. Undefined when the directory before the first wildcard does not exist.
 */
export function findMatches(
  tree: Tree,
  pattern: string,
  options: { readonly followLast: boolean },
): Match[] | undefined {
  const names = pattern.split('/').filter((name) => name !== '' && name !== '.');
  const wild = names.findIndex((name) => hasWildcard(name));
  const literal = toByteString(`/${(wild < 0 ? names : names.slice(0, wild)).join('/')}`);
  const start: Match = {
    file: resolveInTree(tree, literal, { followLast: wild >= 0 || options.followLast }),
    name: literal === '/' ? '' : literal,
  };
  if (wild < 0) return [start];
  if (!tree.lookup(start.file)) return undefined;
  return names.slice(wild).reduce<Match[]>((dirs, name) => entriesLike(tree, dirs, name), [start]);
}

/** The entries whose names match, of those of the files that are directories. */
function entriesLike(tree: Tree, files: readonly Match[], pattern: string): Match[] {
  const test = compileGlob(pattern);
  return files
    .filter(({ file }) => tree.lookup(file)?.kind === 'directory')
    .flatMap((dir) =>
      tree
        .names(dir.file)
        .filter((name) => test(fromByteString(name)))
        .sort()
        .map((name) => ({ file: pathIn(dir.file, name), name: `${dir.name}/${name}` })),
    );
}
