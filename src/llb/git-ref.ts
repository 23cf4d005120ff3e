import { KilnError } from '../base/errors.ts';
import { parseGoBool } from '../base/text/go-bool.ts';
import type { GitOptions } from './builder/source-states.ts';
import { type GitUrl, parseGitUrl } from './git-url.ts';

/** A repository in a Dockerfile or as a build context. */
export interface GitRef {
  readonly remote: string;
  readonly options: Pick<
    GitOptions,
    'ref' | 'subdir' | 'checksum' | 'keepGitDir' | 'skipSubmodules' | 'mtime' | 'fetchByCommit'
  >;
  /** Written as `github.com/…`, which could be a path as well: only accepted for build contexts. */
  readonly couldBePath: boolean;
}

/**
 * Reads `https://host/repo.git#ref:dir`, `git@host:repo`, `ssh://…`, `git://…`, also with a query (`?ref=…&subdir=…`).
 * HTTP URLs are repositories only if their path ends in `.git`. Undefined for anything else; throws `invalid_argument`
 * for a repository with a wrong query.
 */
export function parseGitRef(text: string): GitRef | undefined {
  if (text.startsWith('./') || text.startsWith('../')) return undefined;
  const couldBePath = text.startsWith('github.com/');
  const url = parseGitUrl(couldBePath ? `https://${text}` : text);
  if (!url) return undefined;
  if (!couldBePath && /^https?$/.test(url.scheme) && !url.path.endsWith('.git')) return undefined;
  const remote = couldBePath ? url.remote.slice('https://'.length) : url.remote;
  return { remote, couldBePath, options: queryOptions(url, text) };
}

function queryOptions(url: GitUrl, text: string): GitRef['options'] {
  let { ref, subdir } = url;
  const options: { -readonly [Key in keyof GitRef['options']]: GitRef['options'][Key] } = {};
  const invalid = (why: string) =>
    new KilnError('invalid_argument', `invalid git repository ${JSON.stringify(text)}: ${why}`);
  const agree = (name: string, old: string, value: string) => {
    if (old !== '' && old !== value)
      throw invalid(`${name} conflicts: ${JSON.stringify(old)} vs ${JSON.stringify(value)}`);
    return value;
  };
  const truth = (name: string, value: string) => {
    const parsed = value === '' ? true : parseGoBool(value);
    if (parsed === undefined) throw invalid(`${JSON.stringify(value)} for ${name} is neither true nor false`);
    return parsed;
  };
  const seen = new Set<string>();
  for (const [name, value] of url.query) {
    if (seen.has(name)) throw invalid(`query ${JSON.stringify(name)} has multiple values`);
    seen.add(name);
    if (value === '' && !['submodules', 'keep-git-dir', 'fetch-by-commit'].includes(name)) {
      throw invalid(`query ${JSON.stringify(name)} has no value`);
    }
    switch (name) {
      case 'ref':
        ref = agree('ref', ref, value);
        break;
      case 'tag':
      case 'branch':
        break;
      case 'subdir':
        subdir = agree('subdir', subdir, value);
        break;
      case 'checksum':
      case 'commit':
        options.checksum = value;
        break;
      case 'keep-git-dir':
        options.keepGitDir = truth(name, value);
        break;
      case 'submodules':
        options.skipSubmodules = !truth(name, value);
        break;
      case 'fetch-by-commit':
        options.fetchByCommit = truth(name, value);
        break;
      case 'mtime':
        if (value !== 'checkout' && value !== 'commit') throw invalid('mtime must be checkout or commit');
        options.mtime = value;
        break;
      default:
        throw invalid(`unexpected query ${JSON.stringify(name)}`);
    }
  }
  const qualified = (name: 'tag' | 'branch', prefix: string) => {
    const value = url.query.get(name);
    if (!value) return;
    ref = agree('ref', ref, value.startsWith(prefix) ? value : prefix + value);
  };
  if (seen.has('tag') && seen.has('branch')) throw invalid('branch conflicts with tag');
  qualified('tag', 'refs/tags/');
  qualified('branch', 'refs/heads/');
  return { ...options, ...(ref && { ref }), ...(subdir && { subdir }) };
}

/** Whether `text` is downloaded as a file rather than cloned. */
export function isHttpUrl(text: string): boolean {
  return /^https?:\/\//.test(text) && parseGitRef(text) === undefined;
}
