import { KilnError } from '../../base/errors.ts';
import { withoutCredentials } from '../../base/secrecy/without-credentials.ts';
import { trimEnd } from '../../base/text/trim-end.ts';
import { parseGitUrl } from '../../llb/git-url.ts';
import type { Git } from './git.ts';

/** A commit of another repository that belongs at `path`. */
export interface Submodule {
  /** Relative to the tree that it is in, without a slash at either end. */
  readonly path: string;
  readonly remote: string;
  readonly commit: string;
}

const settingsFile = '.gitmodules';

/** The submodules of a commit, as its `.gitmodules` says. `git` runs in a repository that has the commit; `remote` is where the commit is from. */
export async function listSubmodules(
  git: Git,
  commit: string,
  remote: string,
): Promise<readonly Submodule[]> {
  const [file] = await listTree(git, commit, [settingsFile]);
  if (file?.type !== 'blob' || file.mode === symbolicLink) return [];
  const settings = ['config', '--null', '--blob', file.object];
  const urls = new Map<string, { path?: string; url?: string; update?: string }>();
  const { stdout, code, stderr } = await git.try([
    ...settings,
    '--get-regexp',
    '^submodule\\..*\\.(path|url|update)$',
  ]);
  if (code > 1) throw git.failure(['config'], { code, stdout, stderr });
  for (const entry of stdout.toString('utf8').split('\0')) {
    const [, name, field, value = ''] = /^submodule\.(.*)\.(path|url|update)(?:\n(.*))?$/s.exec(entry) ?? [];
    if (name === undefined) continue;
    const module = urls.get(name) ?? {};
    urls.set(name, module);
    module[field as 'path' | 'url' | 'update'] = value;
  }
  const wanted = [...urls.values()].filter(({ path, update }) => path !== undefined && update !== 'none');
  const paths = wanted.map(({ path }) => trimEnd(path!, '/')).filter(isInside);
  const entries = paths.length === 0 ? [] : await listTree(git, commit, paths);
  return entries
    .filter(({ type }) => type === 'commit')
    .map(({ path, object }) => {
      const url = wanted.find((module) => trimEnd(module.path!, '/') === path)?.url;
      return { path, commit: object, remote: submoduleRemote(path, url, remote) };
    });
}

interface TreeEntry {
  readonly mode: string;
  readonly type: string;
  readonly object: string;
  readonly path: string;
}

const symbolicLink = '120000';

/** The entries of a commit's tree that have these paths. */
export async function listTree(
  git: Git,
  commit: string,
  paths: readonly string[],
): Promise<readonly TreeEntry[]> {
  const output = await git.run([
    '--literal-pathspecs',
    'ls-tree',
    '-z',
    '--full-tree',
    commit,
    '--',
    ...paths,
  ]);
  return output.split('\0').flatMap((line) => {
    const [, mode = '', type = '', object = '', path = ''] =
      /^(\d+) (\w+) ([0-9a-f]+)\t(.*)$/s.exec(line) ?? [];
    return path === '' ? [] : [{ mode, type, object, path }];
  });
}

/** Throws `failed_precondition` for a URL that cannot be fetched from. */
function submoduleRemote(path: string, url: string | undefined, parent: string): string {
  const remote = url === undefined ? undefined : resolveSubmoduleUrl(url, parent);
  const parsed = remote === undefined ? undefined : parseGitUrl(remote);
  if (remote !== undefined && parsed) return remote;
  const what = url === undefined ? 'has no url' : `has the url ${JSON.stringify(url)}`;
  throw new KilnError(
    'failed_precondition',
    `the submodule ${path} of ${withoutCredentials(parent)} ${what} in ${settingsFile}`,
    { hint: 'it has to be one for http, https, ssh or git; `?submodules=false` leaves submodules out' },
  );
}

/** A `./` or `../` URL is relative to the repository that it is written in. */
export function resolveSubmoduleUrl(url: string, parent: string): string {
  if (!/^\.\.?\//.test(url)) return url;
  let base = trimEnd(parent, '/');
  let rest = url;
  let separator = '/';
  for (;;) {
    if (rest.startsWith('./')) rest = rest.slice(2);
    else if (rest.startsWith('../')) {
      rest = rest.slice(3);
      const cut = Math.max(base.lastIndexOf('/'), base.lastIndexOf(':'));
      separator = base[cut] ?? '/';
      base = base.slice(0, Math.max(cut, 0));
    } else return base + separator + trimEnd(rest, '/');
  }
}

function isInside(path: string): boolean {
  return path !== '' && !path.startsWith('/') && !path.split('/').includes('..');
}
