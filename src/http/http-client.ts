import http, { type ClientRequest, type IncomingHttpHeaders, type IncomingMessage } from 'node:http';
import https from 'node:https';
import { abortError, throwIfAborted } from '../base/async/lifetime.ts';
import { type BodySource, exchange, type HttpTimeouts } from './exchange.ts';
import { isLocalhost } from './is-localhost.ts';
import { networkCode } from './network-failure.ts';
import type { TlsCertificates } from './tls-files.ts';

export type HttpMethod = 'GET' | 'HEAD' | 'POST' | 'PUT' | 'PATCH';

export interface HttpRequest {
  readonly method: HttpMethod;
  /** Credentials in it are not sent. */
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
  /** Sent in chunks when `content-length` is not among the headers. Opened anew for every attempt. */
  readonly body?: BodySource;
  /** Milliseconds to wait for the answer to begin, once everything was sent. */
  readonly answerTimeout?: number;
}

/** An answer whose body has not been read. The receiver has to read or discard the body. */
export interface HttpAnswer {
  readonly status: number;
  /** Names are lower-case. */
  readonly headers: IncomingHttpHeaders;
  readonly body: IncomingMessage;
  readonly url: URL;
}

export interface HttpClientOptions {
  readonly tls?: TlsCertificates & { readonly rejectUnauthorized?: boolean };
  readonly timeouts?: Partial<HttpTimeouts>;
}

const defaultTimeouts: HttpTimeouts = { connect: 30_000, answer: 60_000, stall: 60_000 };
/** Milliseconds that an unused connection is kept; less if its server says so. */
const keepAliveTimeout = 30_000;

/**
 * Speaks HTTP/1.1, since the flow control of a single HTTP/2 connection limits large uploads. Proxies are those of the environment,
 * except for this machine itself. It uses Node's own client, which reports every failure to the caller that waits for the answer or
 * reads its body.
 */
export class HttpClient implements Disposable {
  readonly #direct: Agents;
  readonly #proxied: Agents;
  readonly #timeouts: HttpTimeouts;

  constructor({ tls = {}, timeouts = {} }: HttpClientOptions = {}) {
    this.#direct = agents(tls);
    this.#proxied = agents({ ...tls, proxyEnv: process.env });
    this.#timeouts = { ...defaultTimeouts, ...timeouts };
  }

  /**
   * Returns the answer whatever its status is; redirects are not followed. Throws the system's error when there is no answer (see
   * `network-failure.ts`), and a KilnError when `signal` aborts or the request's body cannot be read.
   */
  async send(request: HttpRequest, signal: AbortSignal): Promise<HttpAnswer> {
    const repeatable = request.method === 'GET' || request.method === 'HEAD';
    const timeouts = { ...this.#timeouts, answer: request.answerTimeout ?? this.#timeouts.answer };
    for (;;) {
      throwIfAborted(signal);
      const sent = this.#create(request);
      try {
        const body = await exchange(sent, request.body, timeouts, signal);
        return { status: body.statusCode!, headers: body.headers, body, url: request.url };
      } catch (error) {
        if (signal.aborted) throw abortError(signal);
        // A server may close an unused connection just when it is used again.
        const stale = sent.reusedSocket && /^(ECONNRESET|EPIPE)$/.test(networkCode(error));
        if (!stale || !repeatable) throw error;
      }
    }
  }

  #create({ method, url, headers }: HttpRequest): ClientRequest {
    const { http: plain, https: secure } = isLocalhost(url.host) ? this.#direct : this.#proxied;
    return url.protocol === 'https:'
      ? https.request(url, { method, headers, agent: secure, auth: '' })
      : http.request(url, { method, headers, agent: plain, auth: '' });
  }

  /** Ends the requests that are under way. */
  [Symbol.dispose](): void {
    for (const { http: plain, https: secure } of [this.#direct, this.#proxied]) {
      plain.destroy();
      secure.destroy();
    }
  }
}

interface Agents {
  readonly http: http.Agent;
  readonly https: https.Agent;
}

function agents(options: https.AgentOptions): Agents {
  const all = { ...options, keepAlive: true, timeout: keepAliveTimeout };
  return { http: new http.Agent(all), https: new https.Agent(all) };
}
