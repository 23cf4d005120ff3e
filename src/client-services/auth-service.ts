import { Auth } from '../api/gen/session_auth_pb.js';
import { methodPath, unaryHandler } from '../api/unary-call.ts';
import type { Service } from '../session/service-host.ts';
import { defaultDockerConfigDirectory, readRegistryLogin } from './docker-config.ts';
import { fetchToken, type TokenTls } from './fetch-token.ts';

export interface AuthServiceOptions {
  /** Of Docker's `config.json`; by default `$DOCKER_CONFIG` or `~/.docker`. */
  readonly configDirectory?: string;
  /** By host name. */
  readonly tls?: ReadonlyMap<string, TokenTls>;
}

/**
 * Gives the engine the registry logins that `docker login` made. Tokens are fetched on this side, so that a password need not leave
 * it. The methods by which an engine finds out that two clients have the same login are not served.
 */
export function authService(options: AuthServiceOptions = {}): Service {
  const directory = options.configDirectory ?? defaultDockerConfigDirectory();
  return {
    [methodPath(Auth.method.credentials)]: unaryHandler(Auth.method.credentials, async ({ host }) => {
      const login = await readRegistryLogin(directory, host);
      return login.identityToken === ''
        ? { username: login.username, secret: login.password }
        : { username: '', secret: login.identityToken };
    }),
    [methodPath(Auth.method.fetchToken)]: unaryHandler(
      Auth.method.fetchToken,
      async ({ host, realm, service, scopes }, { signal }) => {
        const login = await readRegistryLogin(directory, host);
        const tls = options.tls?.get(host);
        const token = await fetchToken({ realm, service, scopes }, login, tls, signal);
        return {
          token: token.token,
          expiresIn: BigInt(token.expiresIn),
          issuedAt: BigInt(Math.floor((token.issuedAt?.getTime() ?? 0) / 1000)),
        };
      },
    ),
  };
}
