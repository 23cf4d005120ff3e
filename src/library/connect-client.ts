import type { Client } from './client.ts';
import { DaemonClient } from './daemon-client.ts';

/** In PEM. `serverName` is what the daemon's certificate must be made out to. */
export interface TlsOptions {
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
  readonly serverName?: string;
}

export interface ConnectOptions {
  readonly tls?: TlsOptions;
  /** How long an attempt to connect may take, in milliseconds; 5,000 by default. */
  readonly timeout?: number;
  /** Try again until there is a daemon, or the signal aborts. */
  readonly wait?: boolean;
  readonly signal?: AbortSignal;
}

const defaultAddress = 'unix:///run/kiln/kilnd.sock';

/**
 * Connects to a daemon, Kiln's or BuildKit's, at `unix://…` or `tcp://…`; by default to that of `$KILN_HOST` or `$BUILDKIT_HOST`, or to
 * `unix:///run/kiln/kilnd.sock`. Throws `unavailable` when there is none.
 *
 * @example
 * ```ts
 * import { connect, listWorkers } from 'kiln';
 *
 * const client = await connect();
 * const [worker] = await listWorkers(client);
 * assert.ok(worker && worker.platforms.length > 0);
 * await client.close();
 * ```
 */
export async function connect(
  address: string = process.env.KILN_HOST || process.env.BUILDKIT_HOST || defaultAddress,
  options: ConnectOptions = {},
): Promise<Client> {
  const { connectDaemon } = await import('../client/connect-daemon.ts');
  return new DaemonClient(address, await connectDaemon(address, options));
}
