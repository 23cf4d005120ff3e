import { KilnError } from '../base/errors.ts';
import type { Challenge } from './challenge.ts';
import type { BearerRequest, BearerToken, RegistryAuth } from './registry.ts';

/** Sends a request to a token server and reads its answer as JSON. */
export type TokenFetch = (
  url: string,
  request: {
    readonly method: 'GET' | 'POST';
    readonly headers: Record<string, string>;
    readonly body?: string;
    readonly signal: AbortSignal;
  },
) => Promise<{ readonly status: number; readonly text: string }>;

export interface Authorization {
  /** The value of the `Authorization` header. */
  readonly header: string;
  /** Whether somebody's credentials are in it. */
  readonly personal: boolean;
}

interface Kept {
  readonly authorization: Authorization;
  /** Milliseconds since 1970. */
  readonly expires: number;
}

/** Seconds; the specification's own default. */
const defaultLifetime = 60;
const clientId = 'kiln';

/** Answers the challenges of registries, and keeps what it got until it expires: per client, host and scope. */
export class Authorizer {
  readonly #kept = new Map<string, Kept>();
  readonly #fetch: TokenFetch;

  constructor(fetch: TokenFetch) {
    this.#fetch = fetch;
  }

  /** What worked before for these scopes. */
  known(auth: RegistryAuth, host: string, scopes: readonly string[]): Authorization | undefined {
    const kept = this.#kept.get(keyOf(auth, host, scopes));
    return kept && kept.expires > Date.now() ? kept.authorization : undefined;
  }

  forget(auth: RegistryAuth, host: string, scopes: readonly string[]): void {
    this.#kept.delete(keyOf(auth, host, scopes));
  }

  /** Undefined when none of the challenges can be met. */
  async answer(
    challenges: readonly Challenge[],
    auth: RegistryAuth,
    host: string,
    scopes: readonly string[],
    signal: AbortSignal,
  ): Promise<Authorization | undefined> {
    const bearer = challenges.find(({ scheme }) => scheme === 'bearer');
    const answered = bearer
      ? await this.#bearer(bearer, auth, host, scopes, signal)
      : challenges.some(({ scheme }) => scheme === 'basic')
        ? await basic(auth, host, signal)
        : undefined;
    if (!answered) return undefined;
    this.#dropExpired();
    this.#kept.set(keyOf(auth, host, scopes), answered);
    return answered.authorization;
  }

  async #bearer(
    challenge: Challenge,
    auth: RegistryAuth,
    host: string,
    scopes: readonly string[],
    signal: AbortSignal,
  ): Promise<Kept | undefined> {
    const { realm, service = '', scope } = challenge.parameters;
    if (!realm || !URL.canParse(realm)) return undefined;
    const wanted = scopes.length > 0 ? scopes : (scope?.split(' ').filter(Boolean) ?? []);
    const request: BearerRequest = { host, realm, service, clientId, scopes: wanted };
    const delegated = await auth.token(request, signal);
    if (delegated) return keep(delegated, true);

    const credentials = await auth.credentials(host, signal);
    const token =
      credentials && credentials.username === '' && credentials.secret !== ''
        ? await this.#exchange(request, credentials.secret, signal)
        : await this.#ask(request, credentials, signal);
    return keep(token, credentials !== undefined && credentials.secret !== '');
  }

  /** OAuth 2 exchange of an identity token. */
  #exchange(request: BearerRequest, refreshToken: string, signal: AbortSignal): Promise<BearerToken> {
    const form = new URLSearchParams({
      grant_type: 'refresh_token',
      refresh_token: refreshToken,
      service: request.service,
      client_id: request.clientId,
      scope: request.scopes.join(' '),
    });
    return this.#token(request, request.realm, {
      method: 'POST',
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
      body: form.toString(),
      signal,
    });
  }

  /** With credentials, or anonymously: many public repositories ask for a token all the same. */
  #ask(
    request: BearerRequest,
    credentials: { readonly username: string; readonly secret: string } | undefined,
    signal: AbortSignal,
  ): Promise<BearerToken> {
    const url = new URL(request.realm);
    if (request.service) url.searchParams.set('service', request.service);
    for (const scope of request.scopes) url.searchParams.append('scope', scope);
    const headers: Record<string, string> = {};
    if (credentials?.secret) {
      url.searchParams.set('account', credentials.username);
      headers.authorization = basicHeader(credentials);
    }
    return this.#token(request, url.toString(), { method: 'GET', headers, signal });
  }

  async #token(request: BearerRequest, url: string, sent: Parameters<TokenFetch>[1]): Promise<BearerToken> {
    const { status, text } = await this.#fetch(url, sent);
    const tokenHost = new URL(url).host;
    if (status < 200 || status > 299) {
      throw new KilnError(
        status === 401 || status === 403
          ? 'unauthenticated'
          : status >= 500
            ? 'unavailable'
            : 'permission_denied',
        `cannot authenticate to ${request.host}: the token server ${tokenHost} answered ${status}`,
        { hint: `check your credentials with \`docker login ${request.host}\`` },
      );
    }
    const answer = parseObject(text);
    const token = answer.token || answer.access_token;
    if (typeof token !== 'string' || token === '') {
      throw new KilnError(
        'unauthenticated',
        `cannot authenticate to ${request.host}: the token server ${tokenHost} sent no token`,
      );
    }
    const issued = typeof answer.issued_at === 'string' ? new Date(answer.issued_at) : undefined;
    return {
      token,
      expiresIn: typeof answer.expires_in === 'number' ? answer.expires_in : 0,
      issuedAt: issued && !Number.isNaN(issued.getTime()) ? issued : undefined,
    };
  }

  #dropExpired(): void {
    const now = Date.now();
    for (const [key, kept] of this.#kept) if (kept.expires <= now) this.#kept.delete(key);
  }
}

function keyOf(auth: RegistryAuth, host: string, scopes: readonly string[]): string {
  return JSON.stringify([auth.identity, host, scopes]);
}

function parseObject(text: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}

function basicHeader({ username, secret }: { readonly username: string; readonly secret: string }): string {
  return `Basic ${Buffer.from(`${username}:${secret}`).toString('base64')}`;
}

async function basic(auth: RegistryAuth, host: string, signal: AbortSignal): Promise<Kept | undefined> {
  const credentials = await auth.credentials(host, signal);
  if (!credentials?.secret) return undefined;
  return {
    authorization: { header: basicHeader(credentials), personal: true },
    expires: Date.now() + 10 * 60_000,
  };
}

/** A tenth of the lifetime is left unused, for clocks that differ and requests on their way. */
function keep({ token, expiresIn, issuedAt }: BearerToken, personal: boolean): Kept {
  const lifetime = (expiresIn > 0 ? expiresIn : defaultLifetime) * 1000;
  const issued = Math.min(issuedAt?.getTime() ?? Date.now(), Date.now());
  return { authorization: { header: `Bearer ${token}`, personal }, expires: issued + lifetime * 0.9 };
}
