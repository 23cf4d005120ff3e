import { followLinks } from '../base/rooted-path.ts';
import { type ByteString, fromByteString } from '../base/text/byte-string.ts';
import { lookupIfThere, type Tree } from './tree.ts';

/**
 * The path that `name` stands for in a tree, resolved as a process with the tree as its root would: an absolute link starts at the root, and `..`
 * does not lead above it. What does not exist is kept as written. With `followLast: false` a link in the last place is not followed.
 * Throws `failed_precondition` for a circle of links. Holds as long as nobody changes the tree.
 */
export function resolveInTree(
  tree: Tree,
  name: ByteString,
  options: { readonly followLast?: boolean } = {},
): ByteString {
  return followLinks(name, (parts) => linkTarget(tree, parts.join('/')), {
    ...options,
    show: fromByteString,
  }).join('/');
}

function linkTarget(tree: Tree, path: ByteString): ByteString | undefined {
  return lookupIfThere(tree, path)?.kind === 'symlink' ? tree.readLink(path) : undefined;
}
