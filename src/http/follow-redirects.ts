import { KilnError } from '../base/errors.ts';
import type { HttpAnswer } from './http-client.ts';
import { discard } from './read-body.ts';

const statuses: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);

/**
 * Sends a request that may be repeated to `start`, and to where its answers lead until one leads nowhere else. Who sends decides
 * what each URL may know. Throws `failed_precondition` when there are more than `limit` redirects, or one is not to HTTP.
 */
export async function followRedirects(
  start: URL,
  limit: number,
  send: (url: URL) => Promise<HttpAnswer>,
): Promise<HttpAnswer> {
  let url = start;
  for (let hop = 0; hop <= limit; hop++) {
    const answer = await send(url);
    const { location } = answer.headers;
    if (!statuses.has(answer.status) || location === undefined) return answer;
    await discard(answer.body);
    url = redirected(url, location);
  }
  throw new KilnError('failed_precondition', `${start.host}: gave up after ${limit} redirects`);
}

function redirected(from: URL, location: string): URL {
  const url = URL.parse(location, from.href);
  if (url && /^https?:$/.test(url.protocol)) return url;
  throw new KilnError('failed_precondition', `${from.host} redirects to ${JSON.stringify(location)}`, {
    hint: 'only http and https URLs can be followed',
  });
}
