import type { KilnError } from '../base/errors.ts';
import { createServiceHost, type ServiceHost } from '../session/service-host.ts';
import type { RemoteCache, SolveRequest } from './solve-request.ts';

/** What the client offers to the engine during one solve. Disposing closes files that are still open. */
export interface SessionHost extends AsyncDisposable {
  readonly services: ServiceHost;
  /** The remote caches to look in; local ones that do not exist are left out. */
  readonly cacheImports: readonly RemoteCache[];
  /** What went wrong on this side while serving, rather than at the engine. */
  readonly failure: KilnError | undefined;
  /** Completes the outputs. */
  finish(): Promise<void>;
}

export async function openSessionHost(request: SolveRequest): Promise<SessionHost> {
  return {
    services: createServiceHost([]),
    cacheImports: request.cacheImports,
    failure: undefined,
    async finish() {},
    async [Symbol.asyncDispose]() {},
  };
}
