import type { Digest } from '../../base/digest.ts';
import { sourceDigest } from '../source-digest.ts';
import type { GitRequest } from './git-request.ts';
import type { ResolvedRef } from './resolve-ref.ts';

/**
 * The digest by which BuildKit's cache knows a checkout. With the files of a repository it is another one than there, since these name the
 * repository, which BuildKit's digest does not; so it is for a subdirectory whose name could be read as an option.
 */
export function gitCacheDigest(
  { keepGitDir, subdir, skipSubmodules, commitTimes, shown }: GitRequest,
  { name, object, commit = object }: ResolvedRef,
): Digest {
  const parts = [
    keepGitDir ? `${object}.git#${name}` : commit,
    subdir === '' ? '' : `:${subdir}`,
    skipSubmodules ? '(skip-submodules)' : '',
    commitTimes ? '(mtime=commit)' : '',
  ];
  if (keepGitDir || subdir.includes('(')) parts.push('\0', subdir, '\0', shown);
  return sourceDigest(parts.join(''));
}
