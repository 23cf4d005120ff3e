import { type ConnectRouter, createRouterTransport, type Transport } from '@connectrpc/connect';
import { serverErrors } from '../api/server-errors.ts';
import { withKilnErrors } from '../api/with-kiln-errors.ts';
import { KilnError } from '../base/errors.ts';
import { version } from '../base/version.ts';
import { lockRoot, waitForRoot } from '../linux/flock.ts';
import { inMemorySession } from '../session/in-memory-session.ts';
import type { ServiceHost } from '../session/service-host.ts';
import type { SessionAnnouncement } from '../session/session.ts';
import { readConfig } from './config/config-file.ts';
import { defaultConfig } from './config/daemon-config.ts';
import { quietLog } from './daemon-log.ts';
import { openEngine } from './open-engine.ts';

export interface InProcessOptions {
  readonly root?: string;
  /** A `buildkitd.toml`. */
  readonly configFile?: string;
  /** Ends the wait for the root. */
  readonly signal?: AbortSignal;
  /** Called once when another process works on the root and has to end first, with a message that names it. Without it, that is an error. */
  readonly onWait?: (message: string) => void;
}

/** An engine in this process, reached as a daemon is, but without a socket between. */
export interface InProcessEngine extends AsyncDisposable {
  readonly transport: Transport;
  attachSession(
    host: ServiceHost,
    announcement: SessionAnnouncement,
    signal?: AbortSignal,
  ): Promise<AsyncDisposable & { readonly closed: AbortSignal }>;
}

/** Throws `failed_precondition` when another process works on the root and there is no `onWait`. */
export async function openInProcessEngine(options: InProcessOptions = {}): Promise<InProcessEngine> {
  const read = options.configFile
    ? await readConfig({ files: [options.configFile], named: true })
    : { config: defaultConfig, warnings: [] };
  // Whoever runs this process can mount what they like anyway.
  const config = { ...read.config, root: options.root ?? read.config.root, hostMounts: true };
  const engine = await openEngine(config, quietLog, version, rootLock(options)).catch((error) => {
    throw inUse(error, config.root);
  });
  return {
    transport: withKilnErrors(
      createRouterTransport((router: ConnectRouter) => engine.routes(router), {
        router: { interceptors: [serverErrors] },
      }),
    ),
    async attachSession(host, announcement) {
      const session = inMemorySession(host, announcement);
      const registered = engine.sessions.add(session);
      return {
        closed: session.closed,
        async [Symbol.asyncDispose]() {
          registered[Symbol.dispose]();
          await session[Symbol.asyncDispose]();
        },
      };
    },
    async [Symbol.asyncDispose]() {
      engine.builds.refuse(new KilnError('unavailable', 'the engine is shutting down'));
      await engine[Symbol.asyncDispose]();
    },
  };
}

function rootLock({ signal, onWait }: InProcessOptions) {
  if (!onWait) return lockRoot;
  return (root: string) =>
    waitForRoot(root, {
      signal,
      onWait: (holder) =>
        onWait(
          `waiting until ${holder ? `process ${holder}` : 'another process'} has ended, which works on ${root} (a daemon is reached with --addr)`,
        ),
    });
}

/** A daemon on the same root can do the work instead. */
function inUse(error: unknown, root: string): unknown {
  if (!(error instanceof KilnError) || error.code !== 'failed_precondition') return error;
  return new KilnError(error.code, error.message, {
    cause: error,
    hint: `use that daemon with --addr (or $KILN_HOST), or another root than ${root} with --root`,
  });
}
