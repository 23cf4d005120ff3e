import { readFileSync } from 'node:fs';
import tls from 'node:tls';
import { Agent, fetch } from 'undici';
import { KilnError } from '../../base/errors.ts';
import type { RegistryLogin } from './docker-config.ts';

/** TLS for a host that hands out tokens. */
export interface TokenTls {
  readonly insecure: boolean;
  readonly caFiles: readonly string[];
  readonly keyPairs: readonly { readonly certificate: string; readonly key: string }[];
}

export interface TokenQuery {
  readonly realm: string;
  readonly service: string;
  readonly scopes: readonly string[];
}

export interface Token {
  readonly token: string;
  /** Seconds. */
  readonly expiresIn: number;
  readonly issuedAt?: Date;
}

/** What the distribution specification has clients assume, in seconds. */
const defaultExpiry = 60;

/**
 * A bearer token from a registry's token server: by OAuth2 (POST) with a login, or by GET, which some servers want in any
 * case. Throws `unauthenticated` when it is refused.
 */
export async function fetchToken(
  query: TokenQuery,
  login: RegistryLogin,
  tlsOptions: TokenTls | undefined,
  signal: AbortSignal,
): Promise<Token> {
  if (login.registryToken !== '') return { token: login.registryToken, expiresIn: defaultExpiry };
  const dispatcher = tlsOptions && agentFor(tlsOptions);
  try {
    if (login.identityToken !== '' || login.password !== '') {
      const response = await send(postRequest(query, login), query.realm, dispatcher, signal);
      if (response.ok) return tokenOf(await response.json(), query);
      const fallback = login.username !== '' && [401, 404, 405].includes(response.status);
      await response.body?.cancel();
      if (!fallback) throw refused(query, response.status);
    }
    const response = await send(getRequest(query, login), query.realm, dispatcher, signal);
    if (!response.ok) throw refused(query, response.status);
    return tokenOf(await response.json(), query);
  } finally {
    await dispatcher?.close();
  }
}

interface TokenRequest {
  readonly url: URL;
  readonly method: 'GET' | 'POST';
  readonly headers: Record<string, string>;
  readonly body?: string;
}

function postRequest({ realm, service, scopes }: TokenQuery, login: RegistryLogin): TokenRequest {
  const form = new URLSearchParams({ service, client_id: 'kiln' });
  if (scopes.length > 0) form.set('scope', scopes.join(' '));
  if (login.identityToken !== '') {
    form.set('grant_type', 'refresh_token');
    form.set('refresh_token', login.identityToken);
  } else {
    form.set('grant_type', 'password');
    form.set('username', login.username);
    form.set('password', login.password);
  }
  return {
    url: new URL(realm),
    method: 'POST',
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
    body: form.toString(),
  };
}

function getRequest({ realm, service, scopes }: TokenQuery, login: RegistryLogin): TokenRequest {
  const url = new URL(realm);
  if (service !== '') url.searchParams.set('service', service);
  for (const scope of scopes) url.searchParams.append('scope', scope);
  const headers: Record<string, string> =
    login.password === ''
      ? {}
      : { authorization: `Basic ${Buffer.from(`${login.username}:${login.password}`).toString('base64')}` };
  return { url, method: 'GET', headers };
}

async function send(
  { url, ...request }: TokenRequest,
  realm: string,
  dispatcher: Agent | undefined,
  signal: AbortSignal,
) {
  try {
    return await fetch(url, { ...request, dispatcher, signal });
  } catch (cause) {
    const reason =
      cause instanceof Error && cause.cause instanceof Error ? cause.cause.message : String(cause);
    throw new KilnError('unavailable', `cannot fetch a token from ${realm}: ${reason}`, { cause });
  }
}

function agentFor({ insecure, caFiles, keyPairs }: TokenTls): Agent {
  const ca = [...tls.rootCertificates, ...caFiles.map((file) => readFileSync(file, 'utf8'))];
  return new Agent({
    connect: {
      rejectUnauthorized: !insecure,
      ca,
      cert: keyPairs.map(({ certificate }) => readFileSync(certificate, 'utf8')),
      key: keyPairs.map(({ key }) => readFileSync(key, 'utf8')),
    },
  });
}

function tokenOf(answer: unknown, query: TokenQuery): Token {
  const fields = typeof answer === 'object' && answer !== null ? (answer as Record<string, unknown>) : {};
  const token = fields.access_token ?? fields.token;
  if (typeof token !== 'string' || token === '') {
    throw new KilnError('unauthenticated', `${query.realm} answered without a token`);
  }
  const issuedAt = typeof fields.issued_at === 'string' ? new Date(fields.issued_at) : undefined;
  return {
    token,
    expiresIn:
      typeof fields.expires_in === 'number' && fields.expires_in > 0 ? fields.expires_in : defaultExpiry,
    ...(issuedAt && !Number.isNaN(issuedAt.getTime()) ? { issuedAt } : {}),
  };
}

function refused({ realm, service, scopes }: TokenQuery, status: number): KilnError {
  const wanted = scopes.length > 0 ? ` for ${scopes.join(' ')}` : '';
  return new KilnError('unauthenticated', `${realm} refused a token${wanted} (HTTP status ${status})`, {
    hint: `log in with \`docker login ${service}\``,
  });
}
