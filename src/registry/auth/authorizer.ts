import { throwIfAborted } from '../../base/async/lifetime.ts';
import { SingleFlight } from '../../base/async/single-flight.ts';
import { isCanceled, KilnError } from '../../base/errors.ts';
import { basicAuthorization } from '../../http/basic-authorization.ts';
import type { HttpRequest } from '../../http/http-client.ts';
import { parseRetryAfter } from '../../http/retry-later.ts';
import type { Endpoint } from '../host-config.ts';
import type { BearerRequest, RegistryAuth } from '../registry.ts';
import type { Challenge } from './challenge.ts';
import { mergeScopes, onlyReads } from './scopes.ts';
import {
  type BearerToken,
  defaultTokenLifetime,
  grantRequest,
  parseToken,
  tokenClientId,
  tokenRequest,
} from './token-protocol.ts';

/** What a token server answered. */
export interface TokenAnswer {
  readonly status: number;
  readonly text: string;
  /** The header of that name. */
  readonly retryAfter: string | undefined;
}

/** Sends a request to a token server of a registry, and reads its answer. */
export type SendToTokenServer = (
  request: HttpRequest,
  registry: Endpoint,
  signal: AbortSignal,
) => Promise<TokenAnswer>;

export interface Authorization {
  /** The value of the `Authorization` header. */
  readonly header: string;
  /** Whether somebody's credentials were asked for it. */
  readonly personal: boolean;
}

interface KnownAuthorization extends Authorization {
  /** Milliseconds since 1970. */
  readonly expires: number;
}

/** Who asks for what. */
export interface AuthorizationQuery {
  readonly auth: RegistryAuth;
  readonly endpoint: Endpoint;
  readonly scopes: readonly string[];
}

/** Milliseconds for which a login is used again before the client is asked for it. */
const loginLifetime = 10 * 60_000;

/** Meets the challenges of registries, and keeps what it got in memory until that expires: per client, host and scope. */
export class Authorizer {
  readonly #known = new Map<string, KnownAuthorization>();
  readonly #meeting = new SingleFlight<KnownAuthorization | undefined>();
  readonly #send: SendToTokenServer;

  constructor(send: SendToTokenServer) {
    this.#send = send;
  }

  /** What worked before for these scopes. */
  known(query: AuthorizationQuery): Authorization | undefined {
    const known = this.#known.get(keyOf(query));
    return known && known.expires > Date.now() ? known : undefined;
  }

  /** Forgets what a registry did not accept, unless another one has taken its place. */
  forget(query: AuthorizationQuery, refused: Authorization | undefined): void {
    const key = keyOf(query);
    if (this.#known.get(key)?.header === refused?.header) this.#known.delete(key);
  }

  /**
   * Returns what to send instead of what was refused; requests for the same at the same time share it. Undefined when none of the
   * challenges can be met. Throws `unauthenticated`, `permission_denied` or `unavailable` when a token server gives no token.
   */
  async meet(
    challenges: readonly Challenge[],
    query: AuthorizationQuery,
    signal: AbortSignal,
  ): Promise<Authorization | undefined> {
    const known = this.known(query);
    if (known) return known;
    return await this.#meeting.run(
      keyOf(query),
      async (flight) => {
        const found = await this.#answer(challenges, query, flight.signal);
        this.#dropExpired();
        if (found) this.#known.set(keyOf(query), found);
        return found;
      },
      { signal },
    );
  }

  async #answer(
    challenges: readonly Challenge[],
    query: AuthorizationQuery,
    signal: AbortSignal,
  ): Promise<KnownAuthorization | undefined> {
    const bearer = challenges.find(({ scheme }) => scheme === 'bearer');
    if (bearer) return await this.#bearer(bearer, query, signal);
    return challenges.some(({ scheme }) => scheme === 'basic') ? await basic(query, signal) : undefined;
  }

  async #bearer(
    challenge: Challenge,
    { auth, endpoint, scopes }: AuthorizationQuery,
    signal: AbortSignal,
  ): Promise<KnownAuthorization | undefined> {
    const { realm, service = '', scope = '' } = challenge.parameters;
    const url = URL.parse(realm ?? '');
    if (!realm || !url || !/^https?:$/.test(url.protocol)) return undefined;
    // A mirror may know the repository by another name than its path says.
    const wanted = mergeScopes([...scopes, ...scope.split(' ').filter(Boolean)]);
    const { host } = endpoint;
    const request: BearerRequest = { host, realm, service, clientId: tokenClientId, scopes: wanted };
    try {
      const delegated = await auth.token(request, signal);
      if (delegated) return expiring(delegated, true);
      const credentials = await auth.credentials(host, signal);
      if (credentials?.secret) {
        return expiring(await this.#askAs(credentials, request, endpoint, signal), true);
      }
    } catch (error) {
      throwIfAborted(signal);
      // A login that is no longer good keeps nobody from reading what is public.
      if (isCanceled(error) || !onlyReads(wanted)) throw error;
      const token = await this.#ask(tokenRequest(request, undefined), endpoint, signal).catch(() => {
        throw error;
      });
      return expiring(token, true);
    }
    return expiring(await this.#ask(tokenRequest(request, undefined), endpoint, signal), false);
  }

  /** With an identity token only OAuth 2 will do; with a password it is the second try, for servers that know nothing else. */
  async #askAs(
    { username, secret }: { readonly username: string; readonly secret: string },
    query: BearerRequest,
    endpoint: Endpoint,
    signal: AbortSignal,
  ): Promise<BearerToken> {
    if (username === '') {
      return await this.#ask(
        grantRequest(query, { kind: 'refresh', refreshToken: secret }),
        endpoint,
        signal,
      );
    }
    const login = { username, password: secret };
    const first = tokenRequest(query, login);
    first.url.searchParams.set('account', username);
    try {
      return await this.#ask(first, endpoint, signal);
    } catch (error) {
      if (!(error instanceof KilnError) || error.code !== 'unauthenticated') throw error;
      return await this.#ask(grantRequest(query, { kind: 'password', ...login }), endpoint, signal).catch(
        () => {
          throwIfAborted(signal);
          throw error;
        },
      );
    }
  }

  async #ask(request: HttpRequest, endpoint: Endpoint, signal: AbortSignal): Promise<BearerToken> {
    const { status, text, retryAfter } = await this.#send(request, endpoint, signal);
    const said = `cannot authenticate to ${endpoint.host}: the token server ${request.url.host}`;
    if (status < 200 || status > 299) {
      throw new KilnError(codeOfRefusal(status), `${said} answered ${status}`, {
        cause: parseRetryAfter(retryAfter),
        hint: `check your credentials with \`docker login ${endpoint.host}\``,
      });
    }
    const token = parseToken(text, request.method === 'POST' ? 'access_token' : 'token');
    if (!token) throw new KilnError('unauthenticated', `${said} sent no token`);
    return token;
  }

  #dropExpired(): void {
    const now = Date.now();
    for (const [key, { expires }] of this.#known) if (expires <= now) this.#known.delete(key);
  }
}

/** A server without the kind of request that was sent answers 404 or 405: it may know another. */
function codeOfRefusal(status: number) {
  if ([401, 403, 404, 405].includes(status)) return 'unauthenticated';
  return status === 408 || status === 429 || status >= 500 ? 'unavailable' : 'permission_denied';
}

function keyOf({ auth, endpoint, scopes }: AuthorizationQuery): string {
  return JSON.stringify([auth.identity, endpoint.host, scopes]);
}

async function basic(
  { auth, endpoint }: AuthorizationQuery,
  signal: AbortSignal,
): Promise<KnownAuthorization | undefined> {
  const credentials = await auth.credentials(endpoint.host, signal);
  if (!credentials?.secret) return undefined;
  const header = basicAuthorization(credentials.username, credentials.secret);
  return { header, personal: true, expires: Date.now() + loginLifetime };
}

/** A tenth of the lifetime is left unused, for clocks that differ and requests on their way. */
function expiring({ token, expiresIn, issuedAt }: BearerToken, personal: boolean): KnownAuthorization {
  const lifetime = (expiresIn > 0 ? expiresIn : defaultTokenLifetime) * 1000;
  const issued = Math.min(issuedAt?.getTime() ?? Date.now(), Date.now());
  return { header: `Bearer ${token}`, personal, expires: issued + lifetime * 0.9 };
}
