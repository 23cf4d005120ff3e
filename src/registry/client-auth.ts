import type { RegistryAuth } from './registry.ts';

/** What a client offers for authentication. `ClientCredentials` of the session room fits it. */
export interface RegistryCredentials {
  login(
    sessions: readonly string[],
    ...args: Parameters<RegistryAuth['credentials']>
  ): ReturnType<RegistryAuth['credentials']>;
  token(
    sessions: readonly string[],
    ...args: Parameters<RegistryAuth['token']>
  ): ReturnType<RegistryAuth['token']>;
}

/** Authentication as the clients of `sessions`, the first one that can. */
export function clientAuth(credentials: RegistryCredentials, sessions: readonly string[]): RegistryAuth {
  return {
    identity: sessions.join(' '),
    credentials: (host, signal) => credentials.login(sessions, host, signal),
    token: (request, signal) => credentials.token(sessions, request, signal),
  };
}
