import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { GrpcConnection } from '../api/grpc-connection.ts';
import { GrpcServer } from '../api/grpc-server.ts';
import { createServiceHost, type Service } from './service-host.ts';
import type { Session } from './session.ts';
import { SessionRegistry } from './session-registry.ts';
import { serveSession, sessionHandler, sessionMethod } from './tunnel.ts';

/** For tests: a client's services behind a real tunnel over a real socket. */
export interface SessionRig extends AsyncDisposable {
  readonly sessions: SessionRegistry;
  readonly session: Session;
  /** Has another client open a session, and returns the id of that. */
  join(services: readonly Service[]): Promise<string>;
  /** A directory that is removed with the rig. */
  readonly dir: string;
  /** The client goes away. */
  leave(): Promise<void>;
}

export async function openSessionRig(
  services: readonly Service[],
  options: { readonly sharedKey?: string } = {},
): Promise<SessionRig> {
  const dir = mkdtempSync(path.join(tmpdir(), 'kiln-rig-'));
  const sessions = new SessionRegistry({ waitLimit: 200 });
  const server = new GrpcServer({ handlers: new Map([[sessionMethod, sessionHandler(sessions)]]) });
  const address = await server.listen({ kind: 'unix', path: path.join(dir, 'engine.sock') });
  const connection = await GrpcConnection.connect(address);
  const others = new AsyncDisposableStack();
  const serve = async (own: readonly Service[]) => {
    const id = randomBytes(8).toString('hex');
    const served = await serveSession(
      (...call) => connection.open(...call),
      { id, name: 'a test', sharedKey: options.sharedKey ?? 'key' },
      createServiceHost(own),
    );
    return { id, served };
  };
  const { id, served } = await serve(services);
  return {
    sessions,
    dir,
    session: await sessions.get(id),
    async join(own) {
      const other = await serve(own);
      others.use(other.served);
      return other.id;
    },
    leave: async () => await served[Symbol.asyncDispose](),
    async [Symbol.asyncDispose]() {
      await others.disposeAsync();
      await served[Symbol.asyncDispose]();
      await connection[Symbol.asyncDispose]();
      await server[Symbol.asyncDispose]();
      rmSync(dir, { recursive: true });
    },
  };
}
