import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import type { ServerCertificate } from './http-rig.ts';

interface Start {
  readonly answer: string;
  readonly tls: ServerCertificate | undefined;
  /** How many connections were closed. */
  readonly closed: SharedArrayBuffer;
}

/** For tests: a server in a thread of its own, which answers and closes in the middle of a request. */
export class ClosingServer implements AsyncDisposable {
  readonly url: URL;
  readonly #worker: Worker;
  readonly #closed: Int32Array;

  private constructor(url: URL, worker: Worker, closed: SharedArrayBuffer) {
    this.url = url;
    this.#worker = worker;
    this.#closed = new Int32Array(closed);
  }

  static async start(answer: string, tls?: ServerCertificate): Promise<ClosingServer> {
    const closed = new SharedArrayBuffer(4);
    const worker = new Worker(new URL(import.meta.url), {
      workerData: { answer, tls, closed } satisfies Start,
    });
    const [port] = (await once(worker, 'message')) as [number];
    return new ClosingServer(new URL(`${tls ? 'https' : 'http'}://127.0.0.1:${port}/`), worker, closed);
  }

  /** The body of a request, which goes on for ever: its second part is sent when the server has just closed the connection. */
  async *upload(): AsyncGenerator<Uint8Array> {
    const reached = once(this.#worker, 'message');
    yield Buffer.alloc(1024);
    await reached;
    const before = Atomics.load(this.#closed, 0);
    this.#worker.postMessage('close');
    // The event loop stands still: it must not see that the connection is closed.
    if (Atomics.wait(this.#closed, 0, before, 20_000) === 'timed-out') throw new Error('it was not closed');
    for (;;) yield Buffer.alloc(1024);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#worker.terminate();
  }
}

function serve({ answer, tls, closed }: Start): void {
  const count = new Int32Array(closed);
  const accept = (socket: Socket) => {
    socket.on('error', () => {});
    socket.once('data', () => {
      socket.pause();
      parentPort?.once('message', () => socket.write(answer, () => socket.destroy()));
      parentPort?.postMessage('reached');
    });
    socket.once('close', () => {
      Atomics.add(count, 0, 1);
      Atomics.notify(count, 0);
    });
  };
  const server = tls ? createTlsServer(tls, accept) : createServer(accept);
  server.listen(0, '127.0.0.1', () => {
    const address = server.address();
    if (typeof address === 'object') parentPort?.postMessage(address?.port);
  });
}

if (!isMainThread) serve(workerData as Start);
