import { KilnError } from '../base/errors.ts';
import { followRedirects } from '../http/follow-redirects.ts';
import {
  type HttpAnswer,
  HttpClient,
  type HttpClientOptions,
  type HttpRequest,
} from '../http/http-client.ts';
import { mayKnow } from '../http/may-know.ts';
import { networkReason } from '../http/network-failure.ts';
import { discard, readBody } from '../http/read-body.ts';
import { loadTlsFiles } from '../http/tls-files.ts';
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
const maxRedirects = 10;
const maxAnswer = 1024 * 1024;

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
  using client = new HttpClient({ tls: tlsOptions && (await tlsOf(tlsOptions)) });
  try {
    if (login.identityToken !== '' || login.password !== '') {
      const answer = await client.send(postRequest(query, login), signal);
      if (isSuccess(answer)) return await tokenOf(answer, query);
      const fallback = login.username !== '' && [401, 404, 405].includes(answer.status);
      await discard(answer.body);
      if (!fallback) throw refused(query, answer.status);
    }
    const request = getRequest(query, login);
    const answer = await followRedirects(request, maxRedirects, ({ url }) =>
      client.send({ ...request, url, headers: mayKnow(request.url, url) ? request.headers : {} }, signal),
    );
    if (isSuccess(answer)) return await tokenOf(answer, query);
    await discard(answer.body);
    throw refused(query, answer.status);
  } catch (error) {
    if (error instanceof KilnError) throw error;
    throw new KilnError('unavailable', `cannot fetch a token from ${query.realm}: ${networkReason(error)}`, {
      cause: error,
    });
  }
}

function postRequest({ realm, service, scopes }: TokenQuery, login: RegistryLogin): HttpRequest {
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
    body: async () => Buffer.from(form.toString()),
  };
}

function getRequest({ realm, service, scopes }: TokenQuery, login: RegistryLogin): HttpRequest {
  const url = new URL(realm);
  if (service !== '') url.searchParams.set('service', service);
  for (const scope of scopes) url.searchParams.append('scope', scope);
  const headers: Record<string, string> =
    login.password === ''
      ? {}
      : { authorization: `Basic ${Buffer.from(`${login.username}:${login.password}`).toString('base64')}` };
  return { url, method: 'GET', headers };
}

async function tlsOf({ insecure, caFiles, keyPairs }: TokenTls): Promise<HttpClientOptions['tls']> {
  const pairs = keyPairs.map(({ certificate, key }) => ({ cert: certificate, key }));
  return { ...(await loadTlsFiles({ ca: caFiles, pairs })), rejectUnauthorized: !insecure };
}

function isSuccess({ status }: HttpAnswer): boolean {
  return status >= 200 && status <= 299;
}

async function tokenOf({ body }: HttpAnswer, query: TokenQuery): Promise<Token> {
  const answer = parsed((await readBody(body, maxAnswer)).toString());
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

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function refused({ realm, service, scopes }: TokenQuery, status: number): KilnError {
  const wanted = scopes.length > 0 ? ` for ${scopes.join(' ')}` : '';
  return new KilnError('unauthenticated', `${realm} refused a token${wanted} (HTTP status ${status})`, {
    hint: `log in with \`docker login ${service}\``,
  });
}
