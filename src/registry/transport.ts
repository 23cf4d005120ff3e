import { Agent, type Dispatcher, EnvHttpProxyAgent } from 'undici';
import { KilnError } from '../base/errors.ts';
import { abortError } from '../base/lifetime.ts';
import { Authorizer } from './authorizer.ts';
import { parseChallenges } from './challenge.ts';
import { type Endpoint, isLocalhost, loadTlsFiles } from './host-config.ts';
import { isNotTls, networkCode, networkError } from './network-error.ts';
import type { RegistryContext } from './registry.ts';
import { answerError } from './registry-error.ts';

export interface RegistryRequest {
  readonly method: 'GET' | 'HEAD' | 'POST' | 'PUT';
  /** Below the endpoint (`/v2/…`), or a whole URL that the registry named. */
  readonly target: string | URL;
  /** `domain/path`, for messages. */
  readonly repository: string;
  readonly scopes: readonly string[];
  readonly headers?: Readonly<Record<string, string>>;
  /** Opened once for every time the request is sent. */
  readonly body?: () => Promise<AsyncIterable<Uint8Array> | Uint8Array>;
  /** Milliseconds to wait for the answer to begin. */
  readonly answerTimeout?: number;
}

/** An answer whose body has not been read. Whoever gets it reads or discards the body. */
export interface RegistryAnswer {
  readonly status: number;
  readonly headers: Dispatcher.ResponseData['headers'];
  readonly body: Dispatcher.ResponseData['body'];
  readonly url: URL;
  /** Whether somebody's own credentials were sent. */
  readonly authenticated: boolean;
}

const connectTimeout = 30_000;
const stallTimeout = 60_000;
const answerTimeout = 60_000;
const maxRedirects = 5;
const maxErrorBody = 64 * 1024;

/** HTTP to registries: connections, TLS, authentication, redirects. Knows nothing about images. */
export class RegistryTransport implements AsyncDisposable {
  readonly #dispatchers = new Map<string, Promise<Dispatcher>>();
  /** The scheme that a host with two was found to speak. */
  readonly #schemes = new Map<string, 'http' | 'https'>();
  readonly #authorizer = new Authorizer(async (url, { method, headers, body, signal }) => {
    const target = new URL(url);
    const dispatcher = await this.#dispatcher(`public ${isLocalhost(target.host)}`, async () =>
      isLocalhost(target.host) ? new Agent(agentOptions({})) : new EnvHttpProxyAgent(agentOptions({})),
    );
    try {
      const answer = await dispatcher.request({
        origin: target.origin,
        path: target.pathname + target.search,
        method,
        headers,
        body,
        signal,
      });
      return { status: answer.statusCode, text: await answer.body.text() };
    } catch (error) {
      throw signal.aborted ? abortError(signal) : networkError(error, 'authentication', target.host);
    }
  });

  /** Sends a request and answers its status whatever it is, except that authentication is dealt with. */
  async send(
    endpoint: Endpoint,
    request: RegistryRequest,
    context: RegistryContext,
  ): Promise<RegistryAnswer> {
    const { auth, signal } = context;
    const tried = this.#authorizer.known(auth, endpoint.host, request.scopes);
    const first = await this.#follow(endpoint, request, tried?.header, signal);
    if (first.status !== 401) return { ...first, authenticated: tried?.personal ?? false };

    const offered = first.headers['www-authenticate'];
    this.#authorizer.forget(auth, endpoint.host, request.scopes);
    const authorization = await this.#authorizer.answer(
      parseChallenges(Array.isArray(offered) ? offered.join(', ') : (offered ?? '')),
      auth,
      endpoint.host,
      request.scopes,
      signal,
    );
    if (!authorization) return { ...first, authenticated: false };
    await discard(first);
    const second = await this.#follow(endpoint, request, authorization.header, signal);
    if (second.status === 401) this.#authorizer.forget(auth, endpoint.host, request.scopes);
    return { ...second, authenticated: authorization.personal };
  }

  /** As `send`, and throws what the registry said when the status is not one of `accepted`. */
  async expect(
    endpoint: Endpoint,
    request: RegistryRequest,
    context: RegistryContext,
    accepted: readonly number[],
  ): Promise<RegistryAnswer> {
    const answer = await this.send(endpoint, request, context);
    if (accepted.includes(answer.status)) return answer;
    throw answerError({
      method: request.method,
      host: endpoint.host,
      repository: request.repository,
      path: answer.url.pathname,
      status: answer.status,
      body: await readText(answer),
      authenticated: answer.authenticated,
    });
  }

  async #follow(
    endpoint: Endpoint,
    request: RegistryRequest,
    authorization: string | undefined,
    signal: AbortSignal,
  ): Promise<Omit<RegistryAnswer, 'authenticated'>> {
    const { target } = request;
    const known = this.#schemes.get(endpoint.host);
    const schemes =
      target instanceof URL ? [target.protocol.slice(0, -1)] : known ? [known] : endpoint.schemes;
    for (const [index, scheme] of schemes.entries()) {
      const url = target instanceof URL ? target : new URL(target, `${scheme}://${endpoint.host}`);
      try {
        const answer = await this.#followFrom(url, endpoint, request, authorization, signal);
        if (!(target instanceof URL)) this.#schemes.set(endpoint.host, scheme as 'http' | 'https');
        return answer;
      } catch (error) {
        if (signal.aborted) throw abortError(signal);
        const another = index + 1 < schemes.length && speaksNoTls(error, endpoint.host);
        if (!another) {
          throw error instanceof KilnError ? error : networkError(error, request.repository, url.host);
        }
      }
    }
    throw new KilnError('internal', `${endpoint.host}: no way to reach it is configured`);
  }

  async #followFrom(
    start: URL,
    endpoint: Endpoint,
    request: RegistryRequest,
    authorization: string | undefined,
    signal: AbortSignal,
  ): Promise<Omit<RegistryAnswer, 'authenticated'>> {
    let url = start;
    for (let hop = 0; ; hop++) {
      // Credentials are for the registry alone: neither a redirect nor an upload location takes them elsewhere.
      const own = url.host === endpoint.host;
      const dispatcher = await this.#for(endpoint, url, own);
      const answer = await dispatcher.request({
        origin: url.origin,
        path: url.pathname + url.search,
        method: request.method,
        headers: {
          'user-agent': 'kiln',
          ...request.headers,
          ...(own && authorization ? { authorization } : {}),
        },
        body: (await request.body?.()) as Dispatcher.DispatchOptions['body'],
        signal,
        headersTimeout: request.answerTimeout ?? answerTimeout,
        bodyTimeout: stallTimeout,
      });
      const location = answer.headers.location;
      const moved = [301, 302, 303, 307, 308].includes(answer.statusCode) && typeof location === 'string';
      if (!moved || hop === maxRedirects || (request.method !== 'GET' && request.method !== 'HEAD')) {
        return { status: answer.statusCode, headers: answer.headers, body: answer.body, url };
      }
      await discard(answer);
      url = new URL(location, url);
    }
  }

  #for(endpoint: Endpoint, url: URL, own: boolean): Promise<Dispatcher> {
    const local = isLocalhost(url.host);
    const name = own || !endpoint.verify ? endpoint.host : 'public';
    return this.#dispatcher(`${name} ${local} ${endpoint.verify}`, async () => {
      const tls = {
        ...(name === 'public' ? {} : await loadTlsFiles(endpoint.config)),
        ...(endpoint.verify ? {} : { rejectUnauthorized: false }),
      };
      return local ? new Agent(agentOptions(tls)) : new EnvHttpProxyAgent(agentOptions(tls));
    });
  }

  #dispatcher(key: string, create: () => Promise<Dispatcher>): Promise<Dispatcher> {
    const existing = this.#dispatchers.get(key);
    if (existing) return existing;
    const created = create();
    this.#dispatchers.set(key, created);
    created.catch(() => this.#dispatchers.delete(key));
    return created;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const dispatchers = await Promise.allSettled(this.#dispatchers.values());
    this.#dispatchers.clear();
    await Promise.all(
      dispatchers.map((each) => (each.status === 'fulfilled' ? each.value.destroy() : undefined)),
    );
  }
}

/** HTTP/1.1 only: one HTTP/2 connection's flow control limits large uploads. */
function agentOptions(tls: object): EnvHttpProxyAgent.Options {
  return {
    allowH2: false,
    connect: { timeout: connectTimeout, ...tls },
    requestTls: tls,
    keepAliveTimeout: 30_000,
  };
}

/** A server without TLS on that port, or, when the name has no port, nothing on the TLS port. */
function speaksNoTls(error: unknown, host: string): boolean {
  return isNotTls(error) || (networkCode(error) === 'ECONNREFUSED' && !/:\d+$/.test(host));
}

export async function discard(answer: { readonly body: Dispatcher.ResponseData['body'] }): Promise<void> {
  await answer.body.dump({ limit: maxErrorBody }).catch(() => {});
}

async function readText(answer: RegistryAnswer): Promise<string> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  try {
    for await (const chunk of answer.body) {
      chunks.push(chunk);
      size += chunk.length;
      if (size > maxErrorBody) break;
    }
  } catch {
    // What arrived is enough for a message.
  }
  return Buffer.concat(chunks).toString('utf8');
}
