import { Agent, type Dispatcher, EnvHttpProxyAgent } from 'undici';
import { KilnError } from '../base/errors.ts';
import { abortError } from '../base/lifetime.ts';
import { isLocalhost } from '../registry/host-config.ts';
import { isNotTls, isUntrusted, networkReason } from '../registry/network-error.ts';

export interface HttpRequest {
  readonly method: 'GET' | 'HEAD';
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
  /** Sent to the URL's own host and those below it, not wherever a redirect leads. */
  readonly authorization: string | undefined;
}

/** An answer whose body has not been read. Whoever gets it reads or discards the body. */
export interface HttpAnswer {
  readonly status: number;
  readonly body: Dispatcher.ResponseData['body'];
  /** Of a header that is there once. Names are lower-case. */
  header(name: string): string | undefined;
}

const connectTimeout = 30_000;
const answerTimeout = 60_000;
const stallTimeout = 60_000;
const maxRedirects = 10;
const redirects: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);
/** Bytes of an unwanted body that are read so that its connection can be used again. */
const discardLimit = 64 * 1024;

/** Plain downloads: redirects are followed, proxies are those of the environment (not for the machine itself). */
export class HttpClient implements AsyncDisposable {
  readonly #direct = new Agent(agentOptions);
  readonly #proxied = new EnvHttpProxyAgent({ ...agentOptions, proxyTunnel: false });

  /** Answers whatever the status is. Throws `unavailable` when there is no answer, and `canceled`. */
  async send(request: HttpRequest, signal: AbortSignal): Promise<HttpAnswer> {
    let { url } = request;
    for (let hop = 0; hop <= maxRedirects; hop++) {
      const answer = await this.#sendOnce(request, url, signal);
      const { location } = answer.headers;
      if (!redirects.has(answer.statusCode) || typeof location !== 'string') return answerOf(answer);
      await discard(answer.body);
      url = redirected(url, location);
    }
    throw new KilnError('failed_precondition', `gave up after ${maxRedirects} redirects`);
  }

  async #sendOnce(
    { method, url: start, headers, authorization }: HttpRequest,
    url: URL,
    signal: AbortSignal,
  ): Promise<Dispatcher.ResponseData> {
    const dispatcher = isLocalhost(url.host) ? this.#direct : this.#proxied;
    try {
      return await dispatcher.request({
        origin: url.origin,
        path: url.pathname + url.search,
        method,
        headers: { ...headers, ...(authorization && mayKnow(start, url) ? { authorization } : {}) },
        signal,
        headersTimeout: answerTimeout,
        bodyTimeout: stallTimeout,
      });
    } catch (error) {
      throw signal.aborted ? abortError(signal) : unreachable(error, url);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([this.#direct.destroy(), this.#proxied.destroy()]);
  }
}

const agentOptions: EnvHttpProxyAgent.Options = {
  allowH2: false,
  connect: { timeout: connectTimeout },
  keepAliveTimeout: 30_000,
};

export async function discard(body: Dispatcher.ResponseData['body']): Promise<void> {
  await body.dump({ limit: discardLimit }).catch(() => {});
}

function answerOf({ statusCode, headers, body }: Dispatcher.ResponseData): HttpAnswer {
  return {
    status: statusCode,
    body,
    header(name) {
      const value = headers[name];
      return Array.isArray(value) ? value[0] : value;
    },
  };
}

function redirected(from: URL, location: string): URL {
  const url = URL.parse(location, from.href);
  if (url && /^https?:$/.test(url.protocol)) return url;
  throw new KilnError('failed_precondition', `${from.host} redirects to ${JSON.stringify(location)}`, {
    hint: 'only http and https URLs can be downloaded',
  });
}

/** Whether credentials for `start` may go to `url`: to the same host or one below it, and not in the clear if they were not. */
function mayKnow(start: URL, url: URL): boolean {
  const sameHost = url.hostname === start.hostname || url.hostname.endsWith(`.${start.hostname}`);
  return sameHost && (url.protocol === 'https:' || start.protocol === 'http:');
}

function unreachable(error: unknown, { host, protocol }: URL): KilnError {
  const said = `cannot reach ${host}`;
  if (isUntrusted(error)) {
    return new KilnError(
      'failed_precondition',
      `${said}: its certificate cannot be trusted (${networkReason(error)})`,
      { cause: error, hint: "add its authority to those that the daemon's machine trusts" },
    );
  }
  const reason = protocol === 'https:' && isNotTls(error) ? 'it does not speak TLS' : networkReason(error);
  return new KilnError('unavailable', `${said}: ${reason}`, { cause: error });
}
