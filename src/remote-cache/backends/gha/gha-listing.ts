import { KilnError } from '../../../base/errors.ts';
import { type GhaOptions, ghaBlobPrefix } from './gha-options.ts';
import { GhaRequests } from './gha-requests.ts';

const pageSize = 100;
/** Of a scope. What is on later pages is asked for, or written again to no effect. */
const mostPages = 100;

/**
 * The keys of all blobs that a repository has, from GitHub's own API (at `GITHUB_API_URL` of the daemon's environment, if it is not
 * github.com's). Undefined when the options do not say how to ask, and when the answer is a refusal: then the cache service is to be asked for each blob.
 */
export async function listedBlobs(
  { listing, scopes, timeout }: GhaOptions,
  signal: AbortSignal,
): Promise<ReadonlySet<string> | undefined> {
  if (!listing) return undefined;
  const requests = new GhaRequests({ token: listing.token, timeout });
  const keys = new Set<string>();
  try {
    for (const { name } of scopes) {
      for (let page = 1, total = 1; page <= mostPages && (page - 1) * pageSize < total; page++) {
        const url = pageUrl(listing.repository, name, page);
        const request = { method: 'GET', url, subject: `caches of ${listing.repository}` } as const;
        const answer = await requests.ask(request, () => false, signal);
        const list = 'json' in answer ? answer.json : undefined;
        for (const key of keysOf(list?.actions_caches)) keys.add(key);
        total = typeof list?.total_count === 'number' ? list.total_count : 0;
      }
    }
    return keys;
  } catch (error) {
    if (signal.aborted || !(error instanceof KilnError)) throw error;
    return undefined;
  }
}

function pageUrl(repository: string, scope: string, page: number): URL {
  const query = new URLSearchParams({ per_page: `${pageSize}`, page: `${page}`, key: ghaBlobPrefix });
  if (scope !== '') query.set('ref', scope);
  return new URL(
    `${process.env.GITHUB_API_URL ?? 'https://api.github.com'}/repos/${repository}/actions/caches?${query}`,
  );
}

function keysOf(list: unknown): readonly string[] {
  if (!Array.isArray(list)) return [];
  return list
    .map((entry: unknown) => (entry as { key?: unknown } | null)?.key)
    .filter((key) => typeof key === 'string');
}
