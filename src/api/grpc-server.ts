import { chmodSync, chownSync, rmSync } from 'node:fs';
import http2, { type IncomingHttpHeaders, type ServerHttp2Stream } from 'node:http2';
import net from 'node:net';
import type { Duplex } from 'node:stream';
import { isMainThread } from 'node:worker_threads';
import type { Interceptor } from '@connectrpc/connect';
import { type ConnectNodeAdapterOptions, connectNodeAdapter } from '@connectrpc/connect-node';
import { KilnError } from '../base/errors.ts';
import { type Address, formatAddress, socketOptions } from './address.ts';
import { maximumMessageSize } from './grpc-framing.ts';
import { serverSessionOptions, widenWindow } from './http2-settings.ts';
import type { CallHandler } from './message-stream.ts';
import { eachCall, refuseCall, serveCall } from './serve-call.ts';
import { serverErrors } from './server-errors.ts';

/** Milliseconds without traffic before a TCP connection is probed. */
const keepAliveDelay = 30_000;

export interface GrpcServerOptions {
  /** Calls served as raw messages, by full method name. They come first. */
  readonly handlers?: ReadonlyMap<string, CallHandler>;
  /** All other services. */
  readonly routes?: ConnectNodeAdapterOptions['routes'];
  /** Run inside the mapping of errors, so they may throw any error. */
  readonly interceptors?: readonly Interceptor[];
}

export interface ListenOptions {
  /** PEM. With `ca`, clients must show a certificate that it has signed. */
  readonly tls?: { readonly cert: string; readonly key: string; readonly ca?: string };
  /** Of a unix socket; 0o660 by default. */
  readonly mode?: number;
  readonly gid?: number;
}

/**
 * gRPC over HTTP/2, in clear text or TLS, on any number of addresses. Unknown methods are answered as UNIMPLEMENTED.
 * Disposing it ends every connection.
 */
export class GrpcServer implements AsyncDisposable {
  readonly #handlers: ReadonlyMap<string, CallHandler>;
  readonly #router: ReturnType<typeof connectNodeAdapter>;
  readonly #servers: (http2.Http2Server | http2.Http2SecureServer)[] = [];
  readonly #sessions = new Set<http2.Http2Session>();
  readonly #sockets = new Set<net.Socket>();

  constructor(options: GrpcServerOptions) {
    this.#handlers = options.handlers ?? new Map();
    this.#router = connectNodeAdapter({
      routes: options.routes ?? (() => {}),
      // Answers are not compressed, whatever the client takes: most clients are on this machine, and progress comes in many small messages.
      compressMinBytes: Number.MAX_SAFE_INTEGER,
      interceptors: [serverErrors, ...(options.interceptors ?? [])],
      connect: false,
      grpcWeb: false,
      readMaxBytes: maximumMessageSize,
      fallback: (request) => {
        const { stream, headers } = request as http2.Http2ServerRequest;
        refuseCall(stream, headers);
      },
    });
  }

  /**
   * Returns the address listened on (with the real port for port 0). A socket file that nobody listens on is replaced.
   * Throws `already_exists` when another program listens there.
   */
  async listen(address: Address, options: ListenOptions = {}): Promise<Address> {
    if (address.kind === 'unix') await removeDeadSocket(address.path);
    const server = options.tls
      ? http2.createSecureServer({
          ...serverSessionOptions,
          ...options.tls,
          requestCert: options.tls.ca !== undefined,
          rejectUnauthorized: options.tls.ca !== undefined,
        })
      : http2.createServer(serverSessionOptions);
    server.on('session', (session: http2.ServerHttp2Session) => this.#adopt(session));
    server.on(
      'stream',
      eachCall((stream, headers, _flags, raw) => this.#serve(stream, headers, raw)),
    );
    server.on('connection', (socket: net.Socket) => {
      // A peer whose machine or network is gone says nothing: the kernel finds out.
      socket.setKeepAlive(true, keepAliveDelay);
      this.#sockets.add(socket);
      socket.on('close', () => this.#sockets.delete(socket));
    });
    // A peer that speaks something else, or a broken connection, concerns that peer alone.
    server.on('sessionError', () => {});
    await new Promise<void>((resolve, reject) => {
      server.once('error', (cause: NodeJS.ErrnoException) =>
        reject(
          new KilnError(
            cause.code === 'EADDRINUSE' ? 'already_exists' : 'unavailable',
            `cannot listen on ${formatAddress(address)}: ${cause.message}`,
            { cause },
          ),
        ),
      );
      if (address.kind === 'unix') privately(() => server.listen(socketOptions(address), resolve));
      else server.listen(socketOptions(address), resolve);
    });
    // A connection that could not be accepted, for want of descriptors, say, is lost alone.
    server.on('error', () => {});
    this.#servers.push(server);
    if (address.kind === 'unix') {
      if (options.gid !== undefined) chownSync(address.path, -1, options.gid);
      chmodSync(address.path, options.mode ?? 0o660);
      return address;
    }
    return { ...address, port: (server.address() as net.AddressInfo).port };
  }

  /** Serves one connection that exists already, which this side owns from here on. Returns what ended it, once it has ended: an error of the connection, or none. */
  serve(socket: Duplex): Promise<Error | undefined> {
    const session = http2.performServerHandshake(socket, serverSessionOptions);
    let failure: Error | undefined;
    session.on('error', (error) => {
      failure ??= error;
    });
    this.#adopt(session);
    session.on(
      'stream',
      eachCall((stream, headers, _flags, raw) => this.#serve(stream, headers, raw)),
    );
    return new Promise((resolve) => session.once('close', () => resolve(failure)));
  }

  /** No new connections and, on the existing ones, no new calls; resolves when running calls have ended. */
  async drain(): Promise<void> {
    for (const session of this.#sessions) session.close();
    await Promise.all(
      this.#servers.map((server) => new Promise<void>((resolve) => server.close(() => resolve()))),
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = this.drain();
    for (const session of this.#sessions) session.destroy();
    // A session that is destroyed still waits for its peer to go; one that stands still does not.
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  #adopt(session: http2.ServerHttp2Session): void {
    widenWindow(session);
    this.#sessions.add(session);
    session.on('close', () => this.#sessions.delete(session));
    session.on('error', () => {});
  }

  #serve(stream: ServerHttp2Stream, headers: IncomingHttpHeaders, rawHeaders: string[]): void {
    const handler = this.#handlers.get(String(headers[':path']));
    if (handler) {
      serveCall(stream, headers, rawHeaders, handler);
      return;
    }
    const request = new http2.Http2ServerRequest(stream, headers, {}, rawHeaders);
    this.#router(request, new http2.Http2ServerResponse(stream));
  }
}

/** A socket file outlives its program; only a connection attempt tells. */
async function removeDeadSocket(path: string): Promise<void> {
  const alive = await new Promise<boolean>((resolve) => {
    const probe = net.connect({ path });
    probe.once('connect', () => {
      probe.destroy();
      resolve(true);
    });
    probe.once('error', () => resolve(false));
  });
  if (alive) {
    throw new KilnError('already_exists', `another program listens on unix://${path}`, {
      hint: 'stop it, or choose another address with --addr',
    });
  }
  rmSync(path, { force: true });
}

/** Runs `make` with a umask that gives only this user access to what it makes, since a socket takes connections before its mode is set. */
function privately(make: () => void): void {
  // A thread cannot change the umask, which is the process's. The programs listen in their main threads.
  if (!isMainThread) {
    make();
    return;
  }
  const before = process.umask(0o177);
  try {
    make();
  } finally {
    process.umask(before);
  }
}
