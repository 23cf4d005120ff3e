import { KilnError } from '../base/errors.ts';
import type { DaemonConnection } from '../client/connect-daemon.ts';
import type { Client } from './client.ts';

/** What `connect` gives. Users see its interface only: the connection's types are those of packages. */
export class DaemonClient implements Client {
  readonly address: string;
  readonly connection: DaemonConnection;

  constructor(address: string, connection: DaemonConnection) {
    this.address = address;
    this.connection = connection;
  }

  close(): Promise<void> {
    return this[Symbol.asyncDispose]();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.connection[Symbol.asyncDispose]();
  }
}

/** Throws `invalid_argument` for what `connect` did not make. */
export function connectionOf(client: Client): DaemonConnection {
  if (client instanceof DaemonClient) return client.connection;
  throw new KilnError('invalid_argument', 'this is not a client of a daemon', {
    hint: 'connect() makes one; it has to be awaited',
  });
}
