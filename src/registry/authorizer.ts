import { KilnError } from '../base/errors.ts';
import { basicAuthorization } from '../http/basic-authorization.ts';
import type { HttpRequest } from '../http/http-client.ts';
import type { Challenge } from './challenge.ts';
import type { BearerRequest, RegistryAuth } from './registry.ts';
import {
  type BearerToken,
  defaultTokenLifetime,
  grantRequest,
  parseToken,
  tokenClientId,
  tokenRequest,
} from './token-protocol.ts';

/** Sends a request to a token server and reads its answer. */
export type SendToTokenServer = (
  request: HttpRequest,
  signal: AbortSignal,
) => Promise<{ readonly status: number; readonly text: string }>;

export interface Authorization {
  /** The value of the `Authorization` header. */
  readonly header: string;
  /** Whether somebody's credentials are in it. */
  readonly personal: boolean;
}

interface KnownAuthorization extends Authorization {
  /** Milliseconds since 1970. */
  readonly expires: number;
}

/** Milliseconds for which a login is used again before the client is asked for it. */
const loginLifetime = 10 * 60_000;

/** Meets the challenges of registries, and keeps what it got until that expires: per client, host and scope. */
export class Authorizer {
  readonly #known = new Map<string, KnownAuthorization>();
  readonly #send: SendToTokenServer;

  constructor(send: SendToTokenServer) {
    this.#send = send;
  }

  /** What worked before for these scopes. */
  known(auth: RegistryAuth, host: string, scopes: readonly string[]): Authorization | undefined {
    const known = this.#known.get(keyOf(auth, host, scopes));
    return known && known.expires > Date.now() ? known : undefined;
  }

  forget(auth: RegistryAuth, host: string, scopes: readonly string[]): void {
    this.#known.delete(keyOf(auth, host, scopes));
  }

  /**
   * Returns undefined when none of the challenges can be met. Throws `unauthenticated`, `permission_denied` or `unavailable` when a
   * token server gives no token.
   */
  async meet(
    challenges: readonly Challenge[],
    auth: RegistryAuth,
    host: string,
    scopes: readonly string[],
    signal: AbortSignal,
  ): Promise<Authorization | undefined> {
    const bearer = challenges.find(({ scheme }) => scheme === 'bearer');
    const found = bearer
      ? await this.#bearer(bearer, auth, host, scopes, signal)
      : challenges.some(({ scheme }) => scheme === 'basic')
        ? await basic(auth, host, signal)
        : undefined;
    if (!found) return undefined;
    this.#dropExpired();
    this.#known.set(keyOf(auth, host, scopes), found);
    return found;
  }

  async #bearer(
    challenge: Challenge,
    auth: RegistryAuth,
    host: string,
    scopes: readonly string[],
    signal: AbortSignal,
  ): Promise<KnownAuthorization | undefined> {
    const { realm, service = '', scope } = challenge.parameters;
    if (!realm || !URL.canParse(realm)) return undefined;
    const wanted = scopes.length > 0 ? scopes : (scope?.split(' ').filter(Boolean) ?? []);
    const request: BearerRequest = { host, realm, service, clientId: tokenClientId, scopes: wanted };
    const delegated = await auth.token(request, signal);
    if (delegated) return expiring(delegated, true);

    const credentials = await auth.credentials(host, signal);
    const token = await this.#ask(requestWith(request, credentials), host, signal);
    return expiring(token, credentials !== undefined && credentials.secret !== '');
  }

  async #ask(request: HttpRequest, host: string, signal: AbortSignal): Promise<BearerToken> {
    const { status, text } = await this.#send(request, signal);
    const said = `cannot authenticate to ${host}: the token server ${request.url.host}`;
    if (status < 200 || status > 299) {
      throw new KilnError(
        status === 401 || status === 403
          ? 'unauthenticated'
          : status >= 500
            ? 'unavailable'
            : 'permission_denied',
        `${said} answered ${status}`,
        { hint: `check your credentials with \`docker login ${host}\`` },
      );
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

function keyOf(auth: RegistryAuth, host: string, scopes: readonly string[]): string {
  return JSON.stringify([auth.identity, host, scopes]);
}

type Credentials = Awaited<ReturnType<RegistryAuth['credentials']>>;

function requestWith(query: BearerRequest, credentials: Credentials): HttpRequest {
  if (!credentials?.secret) return tokenRequest(query, undefined);
  const { username, secret } = credentials;
  if (username === '') return grantRequest(query, { kind: 'refresh', refreshToken: secret });
  const request = tokenRequest(query, { username, password: secret });
  request.url.searchParams.set('account', username);
  return request;
}

async function basic(
  auth: RegistryAuth,
  host: string,
  signal: AbortSignal,
): Promise<KnownAuthorization | undefined> {
  const credentials = await auth.credentials(host, signal);
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
