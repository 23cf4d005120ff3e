import { KilnError } from '../base/errors.ts';
import { followRedirects } from '../http/follow-redirects.ts';
import { type HttpAnswer, HttpClient, type HttpClientOptions } from '../http/http-client.ts';
import { mayKnow } from '../http/may-know.ts';
import { networkReason } from '../http/network-failure.ts';
import { discard, readBody } from '../http/read-body.ts';
import { loadTlsFiles } from '../http/tls-files.ts';
import {
  type BearerToken,
  defaultTokenLifetime,
  grantRequest,
  parseToken,
  type TokenGrant,
  type TokenQuery,
  tokenRequest,
} from '../registry/auth/token-protocol.ts';
import type { RegistryLogin } from './docker-config.ts';

/** TLS for a host that hands out tokens. */
export interface TokenTls {
  readonly insecure: boolean;
  readonly caFiles: readonly string[];
  readonly keyPairs: readonly { readonly certificate: string; readonly key: string }[];
}

const maxRedirects = 10;
const maxAnswer = 1024 * 1024;

/**
 * Fetches a bearer token from a registry's token server: by OAuth 2 (POST) with a login, and by GET without one, or where the server
 * does not take the POST. Throws `unauthenticated` when the server refuses, and `unavailable` when it cannot be reached.
 */
export async function fetchToken(
  query: TokenQuery,
  login: RegistryLogin,
  tlsOptions: TokenTls | undefined,
  signal: AbortSignal,
): Promise<BearerToken> {
  if (login.registryToken !== '') return { token: login.registryToken, expiresIn: defaultTokenLifetime };
  using client = new HttpClient({ tls: tlsOptions && (await tlsOf(tlsOptions)) });
  try {
    if (login.identityToken !== '' || login.password !== '') {
      const answer = await client.send(grantRequest(query, grantOf(login)), signal);
      if (isSuccess(answer)) return await tokenOf(answer, query, 'access_token');
      const fallback = login.username !== '' && [401, 404, 405].includes(answer.status);
      await discard(answer.body);
      if (!fallback) throw refused(query, answer.status);
    }
    const request = tokenRequest(query, login.password === '' ? undefined : login);
    const answer = await followRedirects(request, maxRedirects, ({ url }) =>
      client.send({ ...request, url, headers: mayKnow(request.url, url) ? request.headers : {} }, signal),
    );
    if (isSuccess(answer)) return await tokenOf(answer, query, 'token');
    await discard(answer.body);
    throw refused(query, answer.status);
  } catch (error) {
    if (error instanceof KilnError) throw error;
    throw new KilnError('unavailable', `cannot fetch a token from ${query.realm}: ${networkReason(error)}`, {
      cause: error,
    });
  }
}

function grantOf(login: RegistryLogin): TokenGrant {
  const { identityToken, username, password } = login;
  return identityToken === ''
    ? { kind: 'password', username, password }
    : { kind: 'refresh', refreshToken: identityToken };
}

async function tlsOf({ insecure, caFiles, keyPairs }: TokenTls): Promise<HttpClientOptions['tls']> {
  const pairs = keyPairs.map(({ certificate, key }) => ({ cert: certificate, key }));
  return { ...(await loadTlsFiles({ ca: caFiles, pairs })), rejectUnauthorized: !insecure };
}

function isSuccess({ status }: HttpAnswer): boolean {
  return status >= 200 && status <= 299;
}

async function tokenOf(
  { body }: HttpAnswer,
  query: TokenQuery,
  field: 'access_token' | 'token',
): Promise<BearerToken> {
  const token = parseToken((await readBody(body, maxAnswer)).toString(), field);
  if (!token) throw new KilnError('unauthenticated', `${query.realm} answered without a token`);
  return { ...token, expiresIn: token.expiresIn || defaultTokenLifetime };
}

function refused({ realm, service, scopes }: TokenQuery, status: number): KilnError {
  const wanted = scopes.length > 0 ? ` for ${scopes.join(' ')}` : '';
  return new KilnError('unauthenticated', `${realm} refused a token${wanted} (HTTP status ${status})`, {
    hint: `log in with \`docker login ${service}\``,
  });
}
