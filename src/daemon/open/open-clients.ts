import path from 'node:path';
import type { ThreadPool } from '../../base/threads/thread-pool.ts';
import { createClientOutput } from '../../file-sync/client-output.ts';
import { createClientCredentials } from '../../session/requests/client-credentials.ts';
import { createClientExporters } from '../../session/requests/client-exporters.ts';
import { createSourceVerifier } from '../../session/requests/source-verifier.ts';
import { SessionRegistry } from '../../session/session-registry.ts';

/** The sessions of clients, and what is asked of clients through them. */
export type EngineClients = ReturnType<typeof openClients>;

/** `directory` is the engine's root; `transfers` are the threads of file sync. */
export function openClients(directory: string, transfers: ThreadPool) {
  const sessions = new SessionRegistry();
  return {
    sessions,
    credentials: createClientCredentials(sessions, { directory: path.join(directory, 'sockets') }),
    output: createClientOutput(sessions, { pool: transfers }),
    sourceVerifier: createSourceVerifier(sessions),
    exporters: createClientExporters(sessions),
  };
}
