import { throwIfAborted } from '../../base/async/lifetime.ts';
import { KilnError } from '../../base/errors.ts';
import { basicAuthorization } from '../../http/basic-authorization.ts';
import type { ClientCredentials } from '../../session/session.ts';
import type { SourceContext } from '../source.ts';
import type { HttpOptions } from './http-options.ts';

/**
 * The header `Authorization` for a download: the secret that the definition names, else a secret of the client that is named after
 * the host, else the login in the URL. Throws `not_found` when the client lacks a secret that the definition names,
 * `invalid_argument` for a login that is not percent-encoded.
 */
export async function httpAuthorization(
  { url, authHeaderSecret }: HttpOptions,
  credentials: Pick<ClientCredentials, 'secret'>,
  context: SourceContext,
): Promise<string | undefined> {
  const secret = async (id: string) =>
    Buffer.from(await credentials.secret(context.sessions(), id, context.signal)).toString();
  if (authHeaderSecret !== undefined) return await secret(authHeaderSecret);
  const host = url.hostname.replace(/^\[(.*)\]$/, '$1');
  const optional = (id: string) =>
    secret(id).catch(() => {
      throwIfAborted(context.signal);
      return undefined;
    });
  const [token, header] = await Promise.all([
    optional(`HTTP_AUTH_TOKEN_${host}`),
    optional(`HTTP_AUTH_HEADER_${host}`),
  ]);
  if (token !== undefined) return `Bearer ${token}`;
  return header ?? loginOf(url);
}

function loginOf({ username, password }: URL): string | undefined {
  if (username === '' && password === '') return undefined;
  try {
    return basicAuthorization(decodeURIComponent(username), decodeURIComponent(password));
  } catch (cause) {
    // The login is secret.
    throw new KilnError('invalid_argument', 'the user or the password in the URL cannot be decoded', {
      hint: 'write % as %25 there',
      cause,
    });
  }
}
