import http, { type IncomingMessage } from 'node:http';
import https from 'node:https';
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
  readonly body: IncomingMessage;
  /** Of a header that is there once. Names are lower-case. */
  header(name: string): string | undefined;
}

/** Milliseconds in which nothing comes. */
const stallTimeout = 60_000;
const maxRedirects = 10;
const redirects: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);
/** Bytes of an unwanted body that are read so that its connection can be used again. */
const discardLimit = 64 * 1024;

/**
 * Plain downloads: redirects are followed, proxies are those of the environment (not for the machine itself). By Node's own client:
 * undici's throws where nobody can catch it when a server closes a connection while the reader is slow.
 */
export class HttpClient implements Disposable {
  readonly #direct = { http: new http.Agent(agentOptions), https: new https.Agent(agentOptions) };
  readonly #proxied = {
    http: new http.Agent({ ...agentOptions, proxyEnv: process.env }),
    https: new https.Agent({ ...agentOptions, proxyEnv: process.env }),
  };

  /** Answers whatever the status is. Throws `unavailable` when there is no answer, and `canceled`. */
  async send(request: HttpRequest, signal: AbortSignal): Promise<HttpAnswer> {
    let { url } = request;
    for (let hop = 0; hop <= maxRedirects; hop++) {
      const body = await this.#sendOnce(request, url, signal);
      const { statusCode: status = 0, headers } = body;
      if (!redirects.has(status) || headers.location === undefined) {
        return { status, body, header: (name) => [headers[name]].flat()[0] };
      }
      discard(body);
      url = redirected(url, headers.location);
    }
    throw new KilnError('failed_precondition', `gave up after ${maxRedirects} redirects`);
  }

  async #sendOnce(
    { method, url: start, headers, authorization }: HttpRequest,
    url: URL,
    signal: AbortSignal,
  ): Promise<IncomingMessage> {
    const agents = isLocalhost(url.host) ? this.#direct : this.#proxied;
    const secure = url.protocol === 'https:';
    try {
      return await new Promise((resolve, reject) => {
        const request = (secure ? https : http).request(url, {
          method,
          agent: secure ? agents.https : agents.http,
          auth: '',
          headers: { ...headers, ...(authorization && mayKnow(start, url) ? { authorization } : {}) },
          signal,
          timeout: stallTimeout,
        });
        request.once('timeout', () => request.destroy(new StallError('nothing came in time')));
        request.once('response', resolve);
        // It may fail again after it was answered; who reads the body then learns of it.
        request.on('error', reject);
        request.end();
      });
    } catch (error) {
      throw signal.aborted ? abortError(signal) : unreachable(error, url);
    }
  }

  [Symbol.dispose](): void {
    for (const agents of [this.#direct, this.#proxied]) {
      agents.http.destroy();
      agents.https.destroy();
    }
  }
}

const agentOptions = { keepAlive: true } as const;

class StallError extends Error {
  readonly code = 'ETIMEDOUT';
}

/** Reads what little there may be left, so that the connection can be used again, or closes it. */
export function discard(body: IncomingMessage): void {
  let size = 0;
  body.on('error', () => {});
  body.on('data', (chunk: Buffer) => {
    size += chunk.length;
    if (size > discardLimit) body.destroy();
  });
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
