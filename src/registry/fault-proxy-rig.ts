import { once } from 'node:events';
import { createServer, type IncomingMessage, request, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** What goes wrong with a request. */
export type Fault =
  /** The request goes on after this many milliseconds. */
  | { readonly kind: 'delay'; readonly milliseconds: number }
  /** This answer instead of the server's. */
  | {
      readonly kind: 'status';
      readonly status: number;
      readonly headers?: Readonly<Record<string, string>>;
      readonly body?: string;
    }
  /** The connection breaks once this many bytes of the answer's body have been sent. */
  | { readonly kind: 'cut'; readonly after: number }
  /** The connection breaks once this many bytes of the request's body have come. */
  | { readonly kind: 'reset'; readonly after: number }
  /** The answer has all its bytes, and the one at this offset is another. */
  | { readonly kind: 'flip'; readonly at: number }
  /** The body is this much longer (with zeros) or shorter, and Content-Length says so. */
  | { readonly kind: 'length'; readonly by: number }
  /** Nothing is ever answered. */
  | { readonly kind: 'silence' }
  /** The one who chose the fault has answered. */
  | { readonly kind: 'answered' };

export interface SeenRequest {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingMessage['headers'];
}

/** Chooses what goes wrong; undefined passes the request on as it is. `count` is the number of requests before this one. */
export type ChooseFault = (
  request: IncomingMessage,
  count: number,
  response: ServerResponse,
) => Fault | undefined;

/** For tests: a proxy on loopback in front of an HTTP server, in which requests go wrong as `choose` says. */
export class FaultProxy implements AsyncDisposable {
  readonly #server: Server;
  readonly #target: string;
  readonly #choose: ChooseFault;
  readonly requests: SeenRequest[] = [];

  private constructor(target: string, choose: ChooseFault) {
    this.#target = target;
    this.#choose = choose;
    this.#server = createServer((incoming, outgoing) => this.#answer(incoming, outgoing));
  }

  /** `target`: `host:port` of the server behind. */
  static async start(target: string, choose: ChooseFault): Promise<FaultProxy> {
    const proxy = new FaultProxy(target, choose);
    proxy.#server.listen(0, '127.0.0.1');
    await once(proxy.#server, 'listening');
    return proxy;
  }

  /** `host:port`. */
  get host(): string {
    return `127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  #answer(incoming: IncomingMessage, outgoing: ServerResponse): void {
    const { method = '', url = '', headers } = incoming;
    const fault = this.#choose(incoming, this.requests.length, outgoing);
    this.requests.push({ method, url, headers });
    incoming.on('error', () => {});
    outgoing.on('error', () => {});
    switch (fault?.kind) {
      case 'answered':
      case 'silence':
        incoming.resume();
        return;
      case 'status':
        outgoing.writeHead(fault.status, fault.headers).end(fault.body);
        incoming.resume();
        return;
      case 'delay':
        setTimeout(() => this.#forward(incoming, outgoing, fault), fault.milliseconds);
        return;
      default:
        this.#forward(incoming, outgoing, fault);
    }
  }

  #forward(incoming: IncomingMessage, outgoing: ServerResponse, fault: Fault | undefined): void {
    const [hostname, port] = this.#target.split(':');
    const { method, url: path } = incoming;
    const headers = { ...incoming.headers, host: this.host };
    const forwarded = request({ hostname, port, method, path, headers, agent: false }, (answer) => {
      const announced = Number(answer.headers['content-length'] ?? Number.NaN);
      const length = fault?.kind === 'length' && method === 'GET' ? announced + fault.by : announced;
      const adapted = Number.isNaN(length) ? {} : { 'content-length': String(length) };
      outgoing.writeHead(answer.statusCode!, { ...answer.headers, ...adapted });
      answer.on('error', () => outgoing.destroy());
      let passed = 0;
      answer.on('data', (chunk: Buffer) => {
        const from = passed;
        passed += chunk.length;
        if (fault?.kind === 'cut' && passed >= fault.after) {
          outgoing.write(chunk.subarray(0, fault.after - from), () => outgoing.destroy());
          answer.destroy();
          return;
        }
        if (fault?.kind === 'flip' && fault.at >= from && fault.at < passed) chunk[fault.at - from]! ^= 1;
        const kept = fault?.kind === 'length' ? chunk.subarray(0, Math.max(length - from, 0)) : chunk;
        if (kept.length > 0 && !outgoing.write(kept)) {
          answer.pause();
          outgoing.once('drain', () => answer.resume());
        }
      });
      answer.on('end', () => {
        if (fault?.kind === 'length' && fault.by > 0) outgoing.write(Buffer.alloc(fault.by));
        outgoing.end();
      });
    });
    forwarded.on('error', () => outgoing.destroy());
    outgoing.once('close', () => forwarded.destroy());
    let received = 0;
    incoming.on('data', (chunk: Buffer) => {
      received += chunk.length;
      if (fault?.kind === 'reset' && received >= fault.after) {
        incoming.socket.resetAndDestroy();
        forwarded.destroy();
      } else if (!forwarded.write(chunk)) {
        incoming.pause();
        forwarded.once('drain', () => incoming.resume());
      }
    });
    incoming.on('end', () => {
      if (fault?.kind === 'reset') incoming.socket.resetAndDestroy();
      else forwarded.end();
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}
