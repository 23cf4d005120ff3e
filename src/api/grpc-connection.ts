import http2 from 'node:http2';
import net from 'node:net';
import type { Duplex } from 'node:stream';
import tls from 'node:tls';
import { abortError, throwIfAborted } from '../base/async/lifetime.ts';
import { KilnError } from '../base/errors.ts';
import { type Address, formatAddress, socketOptions } from './address.ts';
import { EagerSocket } from './eager-socket.ts';
import { errorOfTrailers } from './error.ts';
import { type CallStatus, Http2MessageStream } from './http2-message-stream.ts';
import { headersOfMetadata } from './http2-metadata.ts';
import { sessionOptions, widenWindow } from './http2-settings.ts';
import type { MessageStream, Metadata } from './message-stream.ts';

/** PEM. `serverName` is what the server's certificate must be made out to. */
export interface ClientTls {
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
  readonly serverName?: string;
}

/** The calling side of one HTTP/2 connection, for calls as raw messages. Disposing it ends all its calls. */
export class GrpcConnection implements AsyncDisposable {
  readonly #session: http2.ClientHttp2Session;
  readonly #closed = new AbortController();

  private constructor(session: http2.ClientHttp2Session) {
    this.#session = session;
    session.on('error', () => {});
    session.on('close', () =>
      this.#closed.abort(new KilnError('unavailable', 'the connection to the other side is closed')),
    );
  }

  /** Throws `unavailable` when nobody listens there. */
  static async connect(
    address: Address,
    options: { readonly tls?: ClientTls; readonly signal?: AbortSignal } = {},
  ): Promise<GrpcConnection> {
    throwIfAborted(options.signal);
    const socket = options.tls
      ? tls.connect({
          ...socketOptions(address),
          ...options.tls,
          ...(options.tls.serverName === undefined ? {} : { servername: options.tls.serverName }),
          ALPNProtocols: ['h2'],
        })
      : net.connect(socketOptions(address));
    await new Promise<void>((resolve, reject) => {
      const stop = () => {
        socket.destroy();
        reject(abortError(options.signal!));
      };
      options.signal?.addEventListener('abort', stop, { once: true });
      socket.once('error', (cause) =>
        reject(
          new KilnError('unavailable', `cannot connect to ${formatAddress(address)}: ${cause.message}`, {
            cause,
            hint: 'check that the daemon runs, and the address',
          }),
        ),
      );
      socket.once(options.tls ? 'secureConnect' : 'connect', () => {
        options.signal?.removeEventListener('abort', stop);
        resolve();
      });
    });
    return GrpcConnection.over(new EagerSocket(socket));
  }

  /** Speaks HTTP/2 on an open connection, and owns it from now on. */
  static over(socket: Duplex): GrpcConnection {
    const session = http2.connect('http://localhost', { ...sessionOptions, createConnection: () => socket });
    if (session.connecting) session.once('connect', () => widenWindow(session));
    else widenWindow(session);
    return new GrpcConnection(session);
  }

  /** Aborts when the connection is gone. */
  get closed(): AbortSignal {
    return this.#closed.signal;
  }

  async open(method: string, metadata: Metadata = {}, signal?: AbortSignal): Promise<MessageStream> {
    throwIfAborted(signal);
    if (this.#session.closed || this.#session.destroyed) {
      throw new KilnError('unavailable', `cannot call ${method}: the connection is closed`);
    }
    const request = this.#session.request({
      ...headersOfMetadata(metadata),
      ':method': 'POST',
      ':path': method,
      'content-type': 'application/grpc',
      te: 'trailers',
    });
    let answer: http2.IncomingHttpHeaders = {};
    let trailers: http2.IncomingHttpHeaders | undefined;
    request.on('response', (headers) => {
      answer = headers;
    });
    request.on('trailers', (headers) => {
      trailers = headers;
    });
    const stream = new Http2MessageStream(request, () => statusOf(method, answer, trailers));
    if (signal) {
      const stop = () => stream.cancel(abortError(signal));
      signal.addEventListener('abort', stop, { once: true });
      request.once('close', () => signal.removeEventListener('abort', stop));
    }
    return stream;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#session.destroyed) return;
    await new Promise<void>((resolve) => {
      this.#session.once('close', resolve);
      this.#session.destroy();
    });
  }
}

function statusOf(
  method: string,
  headers: http2.IncomingHttpHeaders,
  trailers: http2.IncomingHttpHeaders | undefined,
): CallStatus {
  const last = [trailers, headers].find((fields) => fields?.['grpc-status'] !== undefined);
  if (last) {
    const error = errorOfTrailers(last);
    return error ? { kind: 'failed', error } : { kind: 'ok' };
  }
  const status = Number(headers[':status'] ?? 200);
  if (status === 200) return { kind: 'missing' };
  const code = status === 404 ? 'unimplemented' : status === 401 ? 'unauthenticated' : 'unavailable';
  const message = `${method} was answered with HTTP status ${status}, not with gRPC`;
  return { kind: 'failed', error: new KilnError(code, message) };
}
