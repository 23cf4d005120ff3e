import type { RegistryAuth } from './registry.ts';

/** What a session's client offers for authentication (`ClientServices` of the session room has it). */
export interface ClientCredentials {
  credentials(
    sessions: readonly string[],
    ...args: Parameters<RegistryAuth['credentials']>
  ): ReturnType<RegistryAuth['credentials']>;
  token(
    sessions: readonly string[],
    ...args: Parameters<RegistryAuth['token']>
  ): ReturnType<RegistryAuth['token']>;
}

/** Authentication as the clients of `sessions`, the first one that can. */
export function clientAuth(services: ClientCredentials, sessions: readonly string[]): RegistryAuth {
  return {
    identity: sessions.join(' '),
    credentials: (host, signal) => services.credentials(sessions, host, signal),
    token: (request, signal) => services.token(sessions, request, signal),
  };
}
