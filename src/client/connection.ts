import type { Transport } from '@connectrpc/connect';
import type { ServiceHost } from '../session/service-host.ts';
import type { SessionAnnouncement } from '../session/session.ts';

export interface AttachedSession extends AsyncDisposable {
  /** Aborts when the daemon ends the session, or is gone. */
  readonly closed: AbortSignal;
}

/** A build engine that can be asked for work: a daemon, or one inside this process. Disposing ends every call. */
export interface Connection extends AsyncDisposable {
  /** For typed clients of the daemon's services. Calls fail with KilnErrors. */
  readonly transport: Transport;
  /** Offers the services of `host` to the engine until the session is disposed. */
  attachSession(
    host: ServiceHost,
    announcement: SessionAnnouncement,
    signal?: AbortSignal,
  ): Promise<AttachedSession>;
}
