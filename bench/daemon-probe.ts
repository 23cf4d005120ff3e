import { type Client, createClient } from '@connectrpc/connect';
import { Debug } from '../src/api/gen/kiln_debug_pb.js';
import { connectDaemon } from '../src/client/connect-daemon.ts';
import type { Connection } from '../src/client/connection.ts';

/** How long the event loop stood still, in milliseconds, and how much of that its thread worked. */
export interface LoopDelay {
  readonly delay: number;
  readonly work: number;
}

/** Megabytes. */
export interface Memory {
  readonly heap: number;
  readonly resident: number;
}

/** Asks a running kilnd about itself. */
export class DaemonProbe implements AsyncDisposable {
  readonly connection: Connection;
  readonly #debug: Client<typeof Debug>;

  private constructor(connection: Connection) {
    this.connection = connection;
    this.#debug = createClient(Debug, connection.transport);
  }

  static async connect(address: string): Promise<DaemonProbe> {
    return new DaemonProbe(await connectDaemon(address));
  }

  /** The longest delay since the last question. */
  async loopDelay(): Promise<LoopDelay> {
    const { maxEventLoopDelayMs, maxEventLoopWorkMs } = await this.#debug.process({});
    return { delay: Math.round(maxEventLoopDelayMs), work: Math.round(maxEventLoopWorkMs) };
  }

  /** Without garbage. */
  async memory(): Promise<Memory> {
    const { heapUsedBytes, residentBytes } = await this.#debug.process({ collectGarbage: true });
    return { heap: megabytes(heapUsedBytes), resident: megabytes(residentBytes) };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.connection[Symbol.asyncDispose]();
  }
}

function megabytes(bytes: bigint): number {
  return Math.round(Number(bytes) / 1e5) / 10;
}
