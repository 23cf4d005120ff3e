import { KilnError } from '../../base/errors.ts';
import type { HttpAnswer, HttpClient, HttpRequest } from '../../http/http-client.ts';
import { networkReason } from '../../http/network-failure.ts';
import { discard } from '../../http/read-body.ts';
import { defaultRetry, type RetryPolicy } from '../../http/retry.ts';
import { parseRetryAfter } from '../../http/retry-later.ts';
import { attempt } from '../attempt.ts';

/**
 * Sends a request to a service until there is an answer that is no excuse: 408, 429 and 500 and more, and broken connections, are tried again, not
 * before the time that the service asks for. Throws `unavailable` in the end. `subject` says what is asked for, without a secret; so must the
 * path of the address, since errors name the server only.
 */
export async function sendAgain(
  client: HttpClient,
  subject: string,
  request: HttpRequest,
  signal: AbortSignal,
  policy: RetryPolicy = defaultRetry,
): Promise<HttpAnswer> {
  const { host } = request.url;
  return await attempt(
    signal,
    async () => {
      const answer = await client.send(request, signal).catch((error: unknown) => {
        if (error instanceof KilnError) throw error;
        throw new KilnError('unavailable', `${subject}: cannot reach ${host}: ${networkReason(error)}`, {
          cause: error,
        });
      });
      const { status, headers, body } = answer;
      if (status !== 408 && status !== 429 && status < 500) return answer;
      await discard(body);
      throw new KilnError('unavailable', `${subject}: ${host} answered ${status}`, {
        cause: parseRetryAfter(headers['retry-after']),
      });
    },
    policy,
  );
}
