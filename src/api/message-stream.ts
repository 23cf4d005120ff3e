/** One gRPC call as raw messages. Iteration ends on status OK and throws a KilnError for any other status. */
export interface MessageStream extends AsyncIterable<Uint8Array>, AsyncDisposable {
  /** Waits when the other side is slow. The message must not be changed afterwards. */
  send(message: Uint8Array): Promise<void>;
  /** No more messages from this side. */
  closeSend(): Promise<void>;
}

/** Call metadata: lower-case keys, each with its values in order. */
export type Metadata = Readonly<Record<string, readonly string[]>>;

/** Opens one call on the other side. Rejects with the signal's reason when it aborts, and then cancels the call. */
export type OpenCall = (method: string, metadata?: Metadata, signal?: AbortSignal) => Promise<MessageStream>;

/** A call as its server sees it. */
export interface IncomingCall {
  /** In full: `/package.Service/Method`. */
  readonly method: string;
  readonly metadata: Metadata;
  readonly stream: MessageStream;
  /** Aborts when the caller cancels the call or is gone. */
  readonly signal: AbortSignal;
}

/** Serves one call: returning ends it with status OK, throwing with the error's status. */
export type CallHandler = (call: IncomingCall) => Promise<void>;
