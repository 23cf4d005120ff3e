import type { MessageStream, Metadata } from '../api/message-stream.ts';

export type { MessageStream } from '../api/message-stream.ts';

/**
 * A client's session as the engine sees it: services that the *client* offers, reached through the tunnel it opened.
 * Methods are named in full: `/moby.filesync.v1.FileSync/DiffCopy`.
 */
export interface Session {
  readonly id: string;
  readonly name: string;
  /** Equal keys mean the same working directory on the same client: local sources continue from each other. */
  readonly sharedKey: string;
  supports(method: string): boolean;
  /** Opens one call. `metadata` keys are lower-case; values are sent as they are. */
  open(method: string, metadata?: Metadata, signal?: AbortSignal): Promise<MessageStream>;
  /** Aborts when the client is gone. */
  readonly closed: AbortSignal;
}

/** What a client says of its session when it opens it. */
export interface SessionAnnouncement {
  readonly id: string;
  readonly name: string;
  readonly sharedKey: string;
}

export interface SessionManager {
  /** Waits for a session that was announced but has not arrived yet; throws `not_found` after a limit, saying which. */
  get(id: string, signal?: AbortSignal): Promise<Session>;
  /** Whether a session is open now. */
  isOpen(id: string): boolean;
  /** Tries the sessions in turn until `work` succeeds with one; throws the first failure, or `unavailable` when there is none. */
  any<T>(ids: readonly string[], work: (session: Session) => Promise<T>, signal?: AbortSignal): Promise<T>;
}

/** What client services give the engine, decoded. Each takes the ids of the sessions to ask, first one first. */
export interface ClientCredentials {
  /** Throws `not_found` when no client has the secret. */
  secret(sessions: readonly string[], id: string, signal?: AbortSignal): Promise<Uint8Array>;
  /** Credentials for a registry host; undefined when no client has any. */
  login(
    sessions: readonly string[],
    host: string,
    signal?: AbortSignal,
  ): Promise<{ readonly username: string; readonly secret: string } | undefined>;
  /** A bearer token fetched by the client itself, or undefined when it cannot do that. */
  token(
    sessions: readonly string[],
    request: TokenRequest,
    signal?: AbortSignal,
  ): Promise<{ readonly token: string; readonly expiresIn: number; readonly issuedAt?: Date } | undefined>;
  /**
   * A unix socket here that leads to an ssh agent of the client. Undefined when it is optional and no client has
   * one, otherwise `not_found`. Disposing it removes the socket and ends its connections.
   */
  sshAgent(
    sessions: readonly string[],
    agent: SshAgentRequest,
    signal?: AbortSignal,
  ): Promise<(AsyncDisposable & { readonly path: string }) | undefined>;
}

/** Owner and mode are those of the socket. */
export interface SshAgentRequest {
  readonly id: string;
  readonly uid: number;
  readonly gid: number;
  readonly mode: number;
  readonly optional: boolean;
}

export interface TokenRequest {
  readonly host: string;
  readonly realm: string;
  readonly service: string;
  readonly clientId: string;
  readonly scopes: readonly string[];
}

/** What a local source asks of a client. Patterns are as in `.dockerignore`. */
export interface SyncRequest {
  readonly name: string;
  readonly includePatterns: readonly string[];
  readonly excludePatterns: readonly string[];
  readonly followPaths: readonly string[];
  /** Only stats travel, no data, except for files that match. */
  readonly metadataOnly?: { readonly exceptions: readonly string[] };
  readonly differ: 'metadata' | 'none';
}
