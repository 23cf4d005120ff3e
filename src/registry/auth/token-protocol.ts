import { basicAuthorization } from '../../http/basic-authorization.ts';
import type { HttpRequest } from '../../http/http-client.ts';

/** What a token server is asked for (the distribution project's token authentication specification). */
export interface TokenQuery {
  /** The URL of the token server. */
  readonly realm: string;
  readonly service: string;
  /** `repository:library/alpine:pull`. */
  readonly scopes: readonly string[];
}

export interface BearerToken {
  readonly token: string;
  /** Seconds; 0 when its server does not say. */
  readonly expiresIn: number;
  readonly issuedAt?: Date;
}

/** What is exchanged for a token by OAuth 2. */
export type TokenGrant =
  /** An identity token. */
  | { readonly kind: 'refresh'; readonly refreshToken: string }
  | { readonly kind: 'password'; readonly username: string; readonly password: string };

/** How many seconds a token is valid when its server does not say: the specification's default. */
export const defaultTokenLifetime = 60;

/** The name by which token servers know this program. */
export const tokenClientId = 'kiln';

/** Asks for a token by OAuth 2, with a grant. */
export function grantRequest({ realm, service, scopes }: TokenQuery, grant: TokenGrant): HttpRequest {
  const form = new URLSearchParams({ service, client_id: tokenClientId });
  if (scopes.length > 0) form.set('scope', scopes.join(' '));
  if (grant.kind === 'refresh') {
    form.set('grant_type', 'refresh_token');
    form.set('refresh_token', grant.refreshToken);
  } else {
    form.set('grant_type', 'password');
    form.set('username', grant.username);
    form.set('password', grant.password);
  }
  return {
    url: new URL(realm),
    method: 'POST',
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
    body: async () => Buffer.from(form.toString()),
  };
}

/** Asks for a token in the older form, with a login or anonymously: many public repositories require a token, too. */
export function tokenRequest(
  { realm, service, scopes }: TokenQuery,
  login: { readonly username: string; readonly password: string } | undefined,
): HttpRequest {
  const url = new URL(realm);
  if (service !== '') url.searchParams.set('service', service);
  for (const scope of scopes) url.searchParams.append('scope', scope);
  const headers: Readonly<Record<string, string>> = login
    ? { authorization: basicAuthorization(login.username, login.password) }
    : {};
  return { url, method: 'GET', headers };
}

/**
 * The token in a server's answer; undefined when there is none. Answers to a `grantRequest` have it in `access_token`, those to a
 * `tokenRequest` in `token`; where that field is missing or empty, the other one counts.
 */
export function parseToken(text: string, field: 'access_token' | 'token'): BearerToken | undefined {
  const answer = parseObject(text);
  const { issued_at: issued, expires_in: expires } = answer;
  const found = answer[field] || answer.token || answer.access_token;
  if (typeof found !== 'string' || found === '') return undefined;
  const issuedAt = typeof issued === 'string' ? new Date(issued) : undefined;
  return {
    token: found,
    expiresIn: typeof expires === 'number' && expires > 0 ? expires : 0,
    ...(issuedAt && !Number.isNaN(issuedAt.getTime()) && { issuedAt }),
  };
}

function parseObject(text: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}
