import { abortError } from '../base/async/lifetime.ts';
import { KilnError } from '../base/errors.ts';
import { userAgent } from '../base/version.ts';
import type { BodySource } from '../http/exchange.ts';
import { followRedirects } from '../http/follow-redirects.ts';
import { type HttpAnswer, HttpClient, type HttpMethod } from '../http/http-client.ts';
import { mayKnow } from '../http/may-know.ts';
import { isNotTls, networkCode } from '../http/network-failure.ts';
import { discard, readBody, readExplanation } from '../http/read-body.ts';
import { Authorizer } from './auth/authorizer.ts';
import { parseChallenges } from './auth/challenge.ts';
import { type Endpoint, loadCertificates } from './host-config.ts';
import { networkError } from './network-error.ts';
import type { RegistryContext } from './registry.ts';
import { answerError } from './registry-error.ts';

export interface RegistryRequest {
  readonly method: HttpMethod;
  /** Below the endpoint (`/v2/…`), or a whole URL that the registry named. */
  readonly target: string | URL;
  /** `domain/path`, for messages. */
  readonly repository: string;
  readonly scopes: readonly string[];
  readonly headers?: Readonly<Record<string, string>>;
  /** Opened once for every time the request is sent. */
  readonly body?: BodySource;
  /** Milliseconds to wait for the answer to begin. */
  readonly answerTimeout?: number;
}

export interface RegistryAnswer extends HttpAnswer {
  /** Whether somebody's own credentials were sent. */
  readonly authenticated: boolean;
}

const maxRedirects = 5;
const maxErrorBody = 64 * 1024;
const maxTokenBody = 1024 * 1024;

/** HTTP to registries: connections, TLS, authentication and redirects. It knows nothing about images. */
export class RegistryTransport implements AsyncDisposable {
  readonly #clients = new Map<string, Promise<HttpClient>>();
  /** The scheme that a host with two was found to speak. */
  readonly #schemes = new Map<string, 'http' | 'https'>();
  readonly #authorizer = new Authorizer(async (request, registry, signal) => {
    try {
      const answer = await followRedirects(request, request.body ? 0 : maxRedirects, async ({ url }) => {
        const headers = mayKnow(request.url, url) ? request.headers : {};
        const client = await this.#client(registry, url);
        return client.send({ ...request, url, headers }, signal);
      });
      const { status, headers, body } = answer;
      const text = (await readBody(body, maxTokenBody)).toString();
      return { status, text, retryAfter: headers['retry-after'] };
    } catch (error) {
      if (signal.aborted) throw abortError(signal);
      throw error instanceof KilnError
        ? error.wrap(`authentication: ${request.url.host}`)
        : networkError(error, 'authentication', request.url.host);
    }
  });

  /** Sends a request, authenticates if the server asks for that, and returns the answer whatever its status is. */
  async send(
    endpoint: Endpoint,
    request: RegistryRequest,
    context: RegistryContext,
  ): Promise<RegistryAnswer> {
    const { auth, signal } = context;
    const query = { auth, endpoint, scopes: request.scopes };
    const tried = this.#authorizer.known(query);
    const first = await this.#sendTo(endpoint, request, tried?.header, signal);
    // Another server that a redirect leads to gets no credentials: it could name itself as the token server.
    const asks = first.status === 401 && this.#isOwn(endpoint, first.url);
    if (!asks) return { ...first, authenticated: tried?.personal ?? false };

    this.#authorizer.forget(query, tried);
    const challenges = parseChallenges(first.headers['www-authenticate'] ?? '');
    const authorization = await this.#authorizer.meet(challenges, query, signal).catch((error: unknown) => {
      first.body.destroy();
      throw error;
    });
    if (!authorization) return { ...first, authenticated: false };
    await discard(first.body);
    const second = await this.#sendTo(endpoint, request, authorization.header, signal);
    if (second.status === 401) this.#authorizer.forget(query, authorization);
    return { ...second, authenticated: authorization.personal };
  }

  /** As `send`; throws what the registry said when the status is not one of `accepted`. */
  async expect(
    endpoint: Endpoint,
    request: RegistryRequest,
    context: RegistryContext,
    accepted: readonly number[],
  ): Promise<RegistryAnswer> {
    const answer = await this.send(endpoint, request, context);
    if (accepted.includes(answer.status)) return answer;
    throw await this.refusal(endpoint, request, answer);
  }

  /** The failure that an answer says, which is read for that. */
  async refusal(endpoint: Endpoint, request: RegistryRequest, answer: RegistryAnswer): Promise<KilnError> {
    return answerError({
      method: request.method,
      host: endpoint.host,
      repository: request.repository,
      path: answer.url.pathname,
      status: answer.status,
      body: await readExplanation(answer.body, maxErrorBody),
      authenticated: answer.authenticated,
      retryAfter: answer.headers['retry-after'],
    });
  }

  async #sendTo(
    endpoint: Endpoint,
    request: RegistryRequest,
    authorization: string | undefined,
    signal: AbortSignal,
  ): Promise<HttpAnswer> {
    const { target } = request;
    const known = this.#schemes.get(endpoint.host);
    const schemes =
      target instanceof URL ? [target.protocol.slice(0, -1)] : known ? [known] : endpoint.schemes;
    for (const [index, scheme] of schemes.entries()) {
      const url = target instanceof URL ? target : new URL(target, `${scheme}://${endpoint.host}`);
      try {
        const answer = await this.#sendFrom(url, endpoint, request, authorization, signal);
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

  #sendFrom(
    start: URL,
    endpoint: Endpoint,
    { method, headers, body, answerTimeout }: RegistryRequest,
    authorization: string | undefined,
    signal: AbortSignal,
  ): Promise<HttpAnswer> {
    return followRedirects({ method, url: start }, maxRedirects, async (hop) => {
      // Credentials are for the registry alone: neither a redirect nor an upload location takes them elsewhere.
      const own = this.#isOwn(endpoint, hop.url);
      const client = await this.#client(endpoint, hop.url);
      const described = hop.method === method ? headers : {};
      const all = {
        'user-agent': userAgent,
        ...described,
        ...(own && authorization ? { authorization } : {}),
      };
      return client.send(
        { ...hop, headers: all, body: hop.method === method ? body : undefined, answerTimeout },
        signal,
      );
    });
  }

  /** Whether a URL is of the server itself, in the way that it is spoken to. */
  #isOwn({ host, schemes }: Endpoint, url: URL): boolean {
    const known = this.#schemes.get(host);
    return (known ? [known] : schemes).some((scheme) => mayKnow(new URL(`${scheme}://${host}`), url));
  }

  /** Other servers that a registry leads to are trusted as it is, since they are often of one operator, but are not shown its client's certificates. */
  async #client(endpoint: Endpoint, url: URL): Promise<HttpClient> {
    const { verify, config } = endpoint;
    const own = this.#isOwn(endpoint, url);
    return this.#clientOf(JSON.stringify([verify, config, own]), async () => {
      const { ca, ...shown } = await loadCertificates(config);
      return new HttpClient({ tls: { ...(ca && { ca }), ...(own && shown), rejectUnauthorized: verify } });
    });
  }

  #clientOf(key: string, create: () => Promise<HttpClient>): Promise<HttpClient> {
    const existing = this.#clients.get(key);
    if (existing) return existing;
    const created = create();
    this.#clients.set(key, created);
    created.catch(() => this.#clients.delete(key));
    return created;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const clients = await Promise.allSettled(this.#clients.values());
    this.#clients.clear();
    for (const each of clients) if (each.status === 'fulfilled') each.value[Symbol.dispose]();
  }
}

/** A server without TLS on that port, or, when the name has no port, nothing on the TLS port. */
function speaksNoTls(error: unknown, host: string): boolean {
  return isNotTls(error) || (networkCode(error) === 'ECONNREFUSED' && !/:\d+$/.test(host));
}
