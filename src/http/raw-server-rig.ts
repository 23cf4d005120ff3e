import { once } from 'node:events';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';

/** For tests: a TCP server on loopback, for what no HTTP server would do. */
export class RawServer implements AsyncDisposable {
  readonly #server: Server;
  /** Those that are open. */
  readonly connections = new Set<Socket>();
  /** How many connections there have been. */
  accepted = 0;

  private constructor(answer: ((socket: Socket) => void) | undefined) {
    this.#server = createServer((socket) => {
      this.accepted++;
      this.connections.add(socket);
      socket.on('error', () => {});
      socket.once('close', () => this.connections.delete(socket));
      if (answer) socket.once('data', () => answer(socket));
    });
  }

  /** Calls `answer` with each connection on which a request has begun to arrive. Without `answer`, the server reads nothing and says nothing. */
  static async start(answer?: (socket: Socket) => void): Promise<RawServer> {
    const rig = new RawServer(answer);
    rig.#server.listen(0, '127.0.0.1');
    await once(rig.#server, 'listening');
    return rig;
  }

  /** `host:port`. */
  get host(): string {
    return `127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  get url(): URL {
    return new URL(`http://${this.host}/`);
  }

  /** Resolves once there has been a connection. */
  async asked(): Promise<void> {
    if (this.accepted === 0) await once(this.#server, 'connection');
  }

  /** Resolves once the client has closed all its connections. */
  async left(): Promise<void> {
    for (const socket of this.connections) {
      const closed = new Promise((resolve) => socket.once('close', resolve));
      socket.resume();
      if (!socket.closed) await closed;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.connections) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}
