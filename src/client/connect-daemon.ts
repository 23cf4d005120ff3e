import net from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import tls from 'node:tls';
import { createGrpcTransport, Http2SessionManager } from '@connectrpc/connect-node';
import { formatAddress, parseAddress, socketOptions } from '../api/address.ts';
import { type ClientTls, GrpcConnection } from '../api/grpc-connection.ts';
import { sessionOptions } from '../api/http2-settings.ts';
import type { OpenCall } from '../api/message-stream.ts';
import { withKilnErrors } from '../api/with-kiln-errors.ts';
import { awakeTimeout } from '../base/async/awake-timeout.ts';
import { throwIfAborted } from '../base/async/lifetime.ts';
import { asKilnError, KilnError } from '../base/errors.ts';
import { serveSession } from '../session/tunnel.ts';
import type { Connection } from './connection.ts';

export interface ConnectOptions {
  readonly tls?: ClientTls;
  /** How long an attempt to connect may take, in milliseconds; 5,000 by default. */
  readonly timeout?: number;
  /** Try again until there is a daemon, or the signal aborts. */
  readonly wait?: boolean;
  readonly signal?: AbortSignal;
}

const defaultTimeout = 5_000;
const retryPause = 200;

export interface DaemonConnection extends Connection {
  /** For calls as raw messages. */
  readonly open: OpenCall;
}

/** Connects to a daemon at `unix://…` or `tcp://…`. Throws `unavailable` when there is none. */
export async function connectDaemon(
  address: string,
  options: ConnectOptions = {},
): Promise<DaemonConnection> {
  const target = parseAddress(address);
  const raw = await connectRaw(address, options);
  const sessions = new Http2SessionManager('http://localhost', undefined, {
    ...sessionOptions,
    createConnection: () => {
      const socket = socketOptions(target);
      if (!options.tls) return net.connect(socket);
      const { serverName, ...certificates } = options.tls;
      return tls.connect({ ...socket, ...certificates, servername: serverName, ALPNProtocols: ['h2'] });
    },
  });
  const transport = withKilnErrors(
    createGrpcTransport({ baseUrl: 'http://localhost', sessionManager: sessions, acceptCompression: [] }),
  );
  const open: OpenCall = (method, metadata, signal) => raw.open(method, metadata, signal);
  return {
    transport,
    open,
    async attachSession(host, announcement, signal) {
      throwIfAborted(signal);
      return serveSession(open, announcement, host);
    },
    async [Symbol.asyncDispose]() {
      sessions.abort();
      await raw[Symbol.asyncDispose]();
    },
  };
}

async function connectRaw(address: string, options: ConnectOptions): Promise<GrpcConnection> {
  const target = parseAddress(address);
  const timeout = options.timeout ?? defaultTimeout;
  for (;;) {
    throwIfAborted(options.signal);
    using limit = awakeTimeout(timeout);
    const attempt = limit.signal;
    const signal = options.signal ? AbortSignal.any([options.signal, attempt]) : attempt;
    try {
      return await GrpcConnection.connect(target, { tls: options.tls, signal });
    } catch (error) {
      throwIfAborted(options.signal);
      if (!options.wait) {
        if (!attempt.aborted) throw asKilnError(error);
        throw new KilnError(
          'unavailable',
          `no answer from ${formatAddress(target)} within ${timeout / 1000} s`,
        );
      }
      await sleep(retryPause, undefined, { signal: options.signal }).catch(() => {});
    }
  }
}
