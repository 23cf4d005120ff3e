import http2 from 'node:http2';
import { GrpcConnection } from '../api/grpc-connection.ts';
import { serverSessionOptions, widenWindow } from '../api/http2-settings.ts';
import type { CallHandler, Metadata, OpenCall } from '../api/message-stream.ts';
import { eachCall, refuseCall, serveCall } from '../api/serve-call.ts';
import { KilnError } from '../base/errors.ts';
import { healthLimits, untilUnresponsive } from './client-health.ts';
import type { ServiceHost } from './service-host.ts';
import type { Session, SessionAnnouncement } from './session.ts';
import type { SessionRegistry } from './session-registry.ts';
import { TunnelSocket } from './tunnel-socket.ts';

/**
 * The tunnel: a `Control/Session` call whose messages are the bytes of an HTTP/2 connection, on which the *client* is the gRPC
 * server. What it serves is announced in the headers of the call.
 */
export const sessionMethod = '/moby.buildkit.v1.Control/Session';
const headers = {
  id: 'x-docker-expose-session-uuid',
  name: 'x-docker-expose-session-name',
  sharedKey: 'x-docker-expose-session-sharedkey',
  method: 'x-docker-expose-session-grpc-method',
  health: 'x-buildkit-session-health-custom-timeout',
} as const;

/** The daemon's end: serves `Control/Session` and keeps each session in `registry` as long as its call lasts. */
export function sessionHandler(registry: SessionRegistry): CallHandler {
  return async ({ stream, metadata, signal }) => {
    const first = (name: string) => metadata[name]?.[0] ?? '';
    const methods = new Set(metadata[headers.method]?.map((method) => method.toLowerCase()));
    await using connection = GrpcConnection.over(new TunnelSocket(stream));
    const session: Session = {
      id: first(headers.id),
      name: first(headers.name),
      sharedKey: first(headers.sharedKey),
      supports: (method) => methods.has(method.toLowerCase()),
      open: (method, callMetadata, callSignal) => connection.open(method, callMetadata, callSignal),
      closed: connection.closed,
    };
    using _registered = registry.add(session);
    const ended = AbortSignal.any([signal, connection.closed]);
    try {
      await untilUnresponsive(session.open, healthLimits(first(headers.health)), ended);
    } catch (error) {
      if (ended.aborted) return;
      throw error;
    }
    throw new KilnError('unavailable', 'the client does not answer any more', {
      hint: 'look whether the connection to it still works',
    });
  };
}

/** A session that this side, the client, keeps open. Disposing it closes it. */
export interface ServedSession extends AsyncDisposable {
  readonly announcement: SessionAnnouncement;
  /** Aborts when the daemon has ended it, or it was disposed. */
  readonly closed: AbortSignal;
}

/** The client's end: opens a session with the daemon behind `open` and serves `host` in it. */
export async function serveSession(
  open: OpenCall,
  announcement: SessionAnnouncement,
  host: ServiceHost,
): Promise<ServedSession> {
  const metadata: Metadata = {
    [headers.id]: [announcement.id],
    [headers.name]: [announcement.name],
    [headers.sharedKey]: [announcement.sharedKey],
    [headers.method]: host.methods,
  };
  const stream = await open(sessionMethod, metadata);
  const socket = new TunnelSocket(stream);
  const session = http2.performServerHandshake(socket, serverSessionOptions);
  widenWindow(session);
  const closed = new AbortController();
  session.on('error', () => {});
  session.on(
    'stream',
    eachCall((call, callHeaders, _flags, rawHeaders) => {
      const handler = host.handler(String(callHeaders[':path']));
      if (handler) serveCall(call, callHeaders, rawHeaders, handler);
      else refuseCall(call, callHeaders);
    }),
  );
  session.on('close', () =>
    closed.abort(new KilnError('unavailable', 'the session with the daemon is closed')),
  );
  return {
    announcement,
    closed: closed.signal,
    async [Symbol.asyncDispose]() {
      if (session.destroyed) return;
      await new Promise<void>((resolve) => {
        session.once('close', resolve);
        session.destroy();
      });
    },
  };
}
