import { parseGitRef } from '../../../../llb/git-ref.ts';
import { git, http, type State } from '../../../../llb/llb.ts';

/** What a URL stands for as the named context `key`: a repository, or a download. */
export function remoteTree(key: string, url: string): State {
  return gitTree(url, false, false) ?? http(url, { filename: 'context', name: `[context ${key}] ${url}` });
}

/** A checkout, if the text names a repository. With `commitTimes`, files have the time of the commit unless the text says otherwise. */
export function gitTree(text: string, keepGitDir: boolean, commitTimes: boolean): State | undefined {
  const ref = parseGitRef(text);
  return (
    ref &&
    git(ref.remote, {
      ...(commitTimes && { mtime: 'commit' as const }),
      ...ref.options,
      keepGitDir: ref.options.keepGitDir || keepGitDir,
      name: `[internal] load git source ${text}`,
    })
  );
}
