import type { Http2Session, Http2Stream } from 'node:http2';
import { type Deferred, deferred } from '../base/async/lifetime.ts';
import { contained } from '../base/contained.ts';
import { asKilnError, KilnError } from '../base/errors.ts';
import { FrameSplitter, frameMessage } from './grpc-framing.ts';
import {
  NGHTTP2_CANCEL,
  NGHTTP2_ENHANCE_YOUR_CALM,
  NGHTTP2_NO_ERROR,
  NGHTTP2_REFUSED_STREAM,
} from './http2-settings.ts';
import type { MessageStream } from './message-stream.ts';

/** How many received bytes may wait for the reader before the stream has to pause. */
const receiveLimit = 1024 * 1024;
/** Bytes accepted but not yet handed to the connection, above which `send` waits. */
const sendLimit = 1024 * 1024;

/** How a call stands towards its reader: `ended` with an error makes the iteration throw it after the queued messages. */
type Reading = { readonly kind: 'open' } | { readonly kind: 'ended'; readonly error: KilnError | undefined };

/** What the peer said at the end of a call. */
export type CallStatus =
  | { readonly kind: 'ok' }
  | { readonly kind: 'failed'; readonly error: KilnError }
  | { readonly kind: 'missing' };

/** A MessageStream over an HTTP/2 stream, plain `node:http2` underneath: bulk data takes this path. */
export class Http2MessageStream implements MessageStream {
  readonly #stream: Http2Stream;
  readonly #isCaller: boolean;
  readonly #splitter = new FrameSplitter();
  readonly #queue: Buffer[] = [];
  #queuedBytes = 0;
  #reading: Reading = { kind: 'open' };
  #wake: Deferred<void> | undefined;
  #drained: Deferred<void> | undefined;

  /**
   * `statusAtEnd`, on the calling side, is asked once, when the peer has sent everything. The call is over then, whatever
   * this side still had to send.
   */
  constructor(stream: Http2Stream, statusAtEnd?: () => CallStatus) {
    this.#stream = stream;
    this.#isCaller = statusAtEnd !== undefined;
    const { session } = stream;
    const failed = (cause?: unknown) => this.#fail(closeError(stream, session, cause));
    const isBroken = () =>
      stream.aborted || session?.destroyed || (stream.rstCode ?? NGHTTP2_NO_ERROR) !== NGHTTP2_NO_ERROR;
    stream.on('data', (chunk: Buffer) => this.#receive(chunk));
    stream.on('end', () => {
      // Trailers may be announced a moment after the last data.
      const end = () => {
        const status = statusAtEnd?.() ?? { kind: isBroken() ? 'missing' : 'ok' };
        if (status.kind === 'missing' && isBroken()) failed();
        else this.#end(status);
      };
      setImmediate(contained(end, failed));
    });
    stream.on('drain', () => this.#wakeSender());
    stream.on('error', failed);
    stream.on('close', () => setImmediate(failed));
  }

  async send(message: Uint8Array): Promise<void> {
    if (this.#stream.destroyed || this.#stream.writableEnded) throw this.#sendError();
    if (this.#stream.write(frameMessage(message)) || this.#stream.writableLength < sendLimit) return;
    this.#drained ??= deferred();
    await this.#drained.promise;
    if (this.#stream.destroyed) throw this.#sendError();
  }

  async closeSend(): Promise<void> {
    if (!this.#stream.destroyed && !this.#stream.writableEnded) this.#stream.end();
  }

  [Symbol.asyncIterator](): AsyncIterator<Uint8Array> {
    return { next: () => this.#next() };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.cancel();
  }

  /** Ends the call at once; nothing more is delivered. No effect on one that has ended. */
  cancel(reason: KilnError = new KilnError('canceled', 'the call was canceled')): void {
    if (this.#stream.closed || this.#stream.destroyed) return;
    if (this.#reading.kind === 'open') this.#queue.length = 0;
    this.#fail(reason);
    // Node ends the writable side before it resets, which the peer would take for the regular end of the messages.
    this.#stream._final = (callback) => callback();
    this.#stream.close(NGHTTP2_CANCEL);
  }

  /** Whatever the peer still sends is dropped: nobody reads it any more. */
  discardRest(): void {
    if (this.#reading.kind === 'open') this.#reading = { kind: 'ended', error: undefined };
    this.#queue.length = 0;
    this.#stream.resume();
    this.#wakeReader();
    this.#wakeSender();
  }

  #receive(chunk: Buffer): void {
    if (this.#reading.kind === 'ended') return;
    try {
      for (const message of this.#splitter.push(chunk)) {
        this.#queue.push(message);
        this.#queuedBytes += message.length;
      }
    } catch (error) {
      // The side that serves the call says why in its status.
      if (this.#isCaller) this.cancel(asKilnError(error));
      else this.#fail(asKilnError(error));
      return;
    }
    if (this.#queuedBytes > receiveLimit) this.#stream.pause();
    this.#wakeReader();
  }

  async #next(): Promise<IteratorResult<Uint8Array>> {
    for (;;) {
      const message = this.#queue.shift();
      if (message) {
        this.#queuedBytes -= message.length;
        if (this.#queuedBytes <= receiveLimit && this.#stream.isPaused()) this.#stream.resume();
        return { done: false, value: message };
      }
      if (this.#reading.kind === 'ended') {
        if (this.#reading.error) throw this.#reading.error;
        return { done: true, value: undefined };
      }
      this.#wake ??= deferred();
      await this.#wake.promise;
    }
  }

  #end(status: CallStatus): void {
    if (this.#reading.kind === 'ended') return;
    this.#reading = { kind: 'ended', error: this.#errorOf(status) };
    this.#wakeReader();
    if (this.#isCaller && !this.#stream.writableEnded) this.#stream.close(NGHTTP2_NO_ERROR);
    this.#wakeSender();
  }

  #errorOf(status: CallStatus): KilnError | undefined {
    switch (status.kind) {
      case 'missing':
        return new KilnError('internal', 'the call ended without a gRPC status');
      case 'failed':
        return status.error;
      case 'ok':
        try {
          this.#splitter.end();
          return undefined;
        } catch (incomplete) {
          return incomplete as KilnError;
        }
    }
  }

  #fail(error: KilnError): void {
    if (this.#reading.kind === 'open') this.#reading = { kind: 'ended', error };
    this.#wakeReader();
    this.#wakeSender();
  }

  #wakeReader(): void {
    this.#wake?.resolve();
    this.#wake = undefined;
  }

  #wakeSender(): void {
    this.#drained?.resolve();
    this.#drained = undefined;
  }

  #sendError(): KilnError {
    if (this.#reading.kind === 'ended' && this.#reading.error) return this.#reading.error;
    return new KilnError('unavailable', 'the other side has ended the call');
  }
}

function closeError(stream: Http2Stream, session: Http2Session | undefined, cause?: unknown): KilnError {
  if (session?.destroyed)
    return new KilnError('unavailable', 'the connection was lost during the call', { cause });
  switch (stream.rstCode) {
    case NGHTTP2_CANCEL:
      return new KilnError('canceled', 'the other side canceled the call', { cause });
    case NGHTTP2_REFUSED_STREAM:
      return new KilnError('unavailable', 'the other side refused the call', { cause });
    case NGHTTP2_ENHANCE_YOUR_CALM:
      return new KilnError('resource_exhausted', 'the other side limits the call', { cause });
    case NGHTTP2_NO_ERROR:
    case undefined:
      return new KilnError('unavailable', 'the other side has ended the call', { cause });
    default:
      return new KilnError('internal', `the other side reset the call (HTTP/2 code ${stream.rstCode})`, {
        cause,
      });
  }
}
