import { joinPath } from './clean-path.ts';

/** A git remote, with what BuildKit adds to it: a ref and a directory in the fragment, more in the query. */
export interface GitUrl {
  readonly scheme: 'http' | 'https' | 'ssh' | 'git';
  readonly host: string;
  /** With its leading slash, except in the `user@host:path` form. */
  readonly path: string;
  readonly query: URLSearchParams;
  readonly ref: string;
  readonly subdir: string;
  /** What git is given: without query and fragment. */
  readonly remote: string;
}

/** Parses `https://…`, `ssh://…`, `git://…` and `user@host:path`. Undefined when it is none of them. */
export function parseGitUrl(text: string): GitUrl | undefined {
  const protocol = /^([a-zA-Z0-9]+):\/\//.exec(text)?.[1]?.toLowerCase();
  if (protocol === undefined) return parseScpStyle(text);
  if (protocol !== 'http' && protocol !== 'https' && protocol !== 'ssh' && protocol !== 'git')
    return undefined;
  const [, authority, path = '', query = '', fragment = ''] =
    /^[^:]+:\/\/([^/?#]*)([^?#]*)(?:\?([^#]*))?(?:#(.*))?$/s.exec(text) ?? [];
  if (!authority) return undefined;
  return {
    scheme: protocol,
    host: authority.slice(authority.lastIndexOf('@') + 1),
    path,
    query: new URLSearchParams(query),
    ...parseFragment(decode(fragment)),
    remote: `${protocol}://${authority}${path}`,
  };
}

function parseScpStyle(text: string): GitUrl | undefined {
  const match = /^([a-zA-Z0-9-_]+)@([a-zA-Z0-9-.]+):([^?#]*)(?:\?([^#]*))?(?:#(.*))?$/s.exec(text);
  if (!match) return undefined;
  const [, user, host = '', path = '', query = '', fragment = ''] = match;
  return {
    scheme: 'ssh',
    host,
    path,
    query: new URLSearchParams(query),
    ...parseFragment(fragment),
    remote: `${user}@${host}:${path}`,
  };
}

function parseFragment(fragment: string): { readonly ref: string; readonly subdir: string } {
  const colon = fragment.indexOf(':');
  if (colon < 0) return { ref: fragment, subdir: '' };
  return { ref: fragment.slice(0, colon), subdir: joinPath('/', fragment.slice(colon + 1)).slice(1) };
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
