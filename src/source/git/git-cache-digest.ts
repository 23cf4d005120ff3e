import type { Digest } from '../../base/digest.ts';
import { sourceDigest } from '../source-digest.ts';
import { refInBundle } from './bundle/write-bundle.ts';
import type { GitRequest } from './git-request.ts';
import type { ResolvedRef } from './resolve-ref.ts';

/**
 * The digest by which BuildKit's cache knows a checkout. With the files of a repository it is another one than there, since these name the
 * repository, which BuildKit's digest does not; a bundle's names the ref that is in it, and so it is for a subdirectory whose name could be read as an option.
 */
export function gitCacheDigest(
  { keepGitDir, subdir, skipSubmodules, commitTimes, checkoutBundle, shown }: GitRequest,
  { name, object, commit = object }: ResolvedRef,
): Digest {
  const parts = [
    keepGitDir ? `${object}.git#${name}` : commit,
    subdir === '' ? '' : `:${subdir}`,
    skipSubmodules ? '(skip-submodules)' : '',
    commitTimes ? '(mtime=commit)' : '',
    checkoutBundle ? '(bundle)' : '',
  ];
  if (checkoutBundle) parts.push('\0', object, '\0', refInBundle(name));
  if (keepGitDir || subdir.includes('(')) parts.push('\0', subdir, '\0', shown);
  return sourceDigest(parts.join(''));
}
