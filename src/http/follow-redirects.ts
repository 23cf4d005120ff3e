import { KilnError } from '../base/errors.ts';
import type { HttpAnswer, HttpMethod } from './http-client.ts';
import { discard } from './read-body.ts';

const statuses: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);

/** One of the requests. One whose method is not that of the first has no body. */
export interface Hop {
  readonly method: HttpMethod;
  readonly url: URL;
}

/**
 * Sends a request to where `start` says, and follows redirects until an answer is none. 303 has the outcome fetched with GET;
 * any other redirect repeats the request as it is, since one that writes would have written nothing as a GET. `send` decides what
 * each URL may know (`mayKnow`). Throws `failed_precondition` when there are more than `limit` redirects, or one is not to HTTP.
 */
export async function followRedirects(
  start: Hop,
  limit: number,
  send: (hop: Hop) => Promise<HttpAnswer>,
): Promise<HttpAnswer> {
  let { method, url } = start;
  for (let count = 0; count <= limit; count++) {
    const answer = await send({ method, url });
    const { location } = answer.headers;
    if (!statuses.has(answer.status) || location === undefined) return answer;
    await discard(answer.body);
    url = locationOf(url, location, 'redirects');
    if (answer.status === 303 && method !== 'HEAD') method = 'GET';
  }
  throw new KilnError('failed_precondition', `${start.url.host}: gave up after ${limit} redirects`);
}

/** The URL in the header `Location` of an answer from `from`. Throws `failed_precondition` for one that is not HTTP. */
export function locationOf(from: URL, location: string, verb: string): URL {
  const url = URL.parse(location, from.href);
  if (url && /^https?:$/.test(url.protocol)) return url;
  // The rest of it may be secret.
  const what = url ? `a URL of ${url.protocol}` : 'what is no URL';
  throw new KilnError('failed_precondition', `${from.host} ${verb} to ${what}`, {
    hint: 'only http and https URLs can be followed',
  });
}
