import type { CallHandler, MessageStream, Metadata } from '../api/message-stream.ts';
import { abortError, type Deferred, deferred, throwIfAborted } from '../base/async/lifetime.ts';
import { asKilnError, KilnError } from '../base/errors.ts';
import type { ServiceHost } from './service-host.ts';
import type { Session, SessionAnnouncement } from './session.ts';

/** Bytes that one side may send ahead of the other. */
const sendAhead = 1024 * 1024;

/**
 * The session of a client in the same process: calls reach its services directly, messages pass by reference.
 * Disposing it means that the client has gone.
 */
export function inMemorySession(
  host: ServiceHost,
  announcement: SessionAnnouncement,
): Session & AsyncDisposable {
  const closed = new AbortController();
  const running = new Set<Promise<void>>();
  return {
    ...announcement,
    closed: closed.signal,
    supports: (method) => host.handler(method) !== undefined,
    async open(method, metadata = {}, signal) {
      throwIfAborted(signal);
      throwIfAborted(closed.signal);
      const handler = host.handler(method);
      if (!handler) throw new KilnError('unimplemented', `the client does not serve ${method}`);
      const ends = signal ? AbortSignal.any([signal, closed.signal]) : closed.signal;
      const { stream, done } = startCall(method, metadata, handler, ends);
      running.add(done);
      void done.then(() => running.delete(done));
      return stream;
    },
    async [Symbol.asyncDispose]() {
      closed.abort(new KilnError('unavailable', "the client's session is closed"));
      await Promise.all(running);
    },
  };
}

function startCall(
  method: string,
  metadata: Metadata,
  handler: CallHandler,
  signal: AbortSignal,
): { readonly stream: MessageStream; readonly done: Promise<void> } {
  const requests = new MessagePipe();
  const responses = new MessagePipe();
  const gone = new AbortController();
  const cancel = (reason: KilnError) => {
    requests.end(reason);
    responses.end(reason);
    gone.abort(reason);
  };
  const stop = () => cancel(abortError(signal));
  signal.addEventListener('abort', stop, { once: true });
  const call = { method, metadata, stream: streamOf(requests, responses, () => {}), signal: gone.signal };
  const done = handler(call).then(
    () => {
      responses.end();
      requests.end(new KilnError('unavailable', 'the other side has ended the call'));
    },
    (error) => {
      responses.end(asKilnError(error));
      requests.end(asKilnError(error));
    },
  );
  return {
    stream: streamOf(responses, requests, () => cancel(new KilnError('canceled', 'the call was canceled'))),
    done: done.finally(() => signal.removeEventListener('abort', stop)),
  };
}

function streamOf(incoming: MessagePipe, outgoing: MessagePipe, dispose: () => void): MessageStream {
  return {
    send: (message) => outgoing.send(message),
    async closeSend() {
      outgoing.end();
    },
    [Symbol.asyncIterator]: () => ({ next: () => incoming.next() }),
    async [Symbol.asyncDispose]() {
      dispose();
    },
  };
}

/** One direction of a call. */
class MessagePipe {
  readonly #queue: Uint8Array[] = [];
  #bytes = 0;
  #end: { readonly error: KilnError | undefined } | undefined;
  #arrived: Deferred<void> | undefined;
  #drained: Deferred<void> | undefined;

  async send(message: Uint8Array): Promise<void> {
    if (this.#end) throw this.#end.error ?? new KilnError('unavailable', 'this side of the call is closed');
    this.#queue.push(message);
    this.#bytes += message.length;
    this.#arrived?.resolve();
    this.#arrived = undefined;
    if (this.#bytes <= sendAhead) return;
    this.#drained ??= deferred();
    await this.#drained.promise;
  }

  async next(): Promise<IteratorResult<Uint8Array>> {
    for (;;) {
      const message = this.#queue.shift();
      if (message) {
        this.#bytes -= message.length;
        if (this.#bytes <= sendAhead) this.#wakeSender();
        return { done: false, value: message };
      }
      if (this.#end?.error) throw this.#end.error;
      if (this.#end) return { done: true, value: undefined };
      this.#arrived ??= deferred();
      await this.#arrived.promise;
    }
  }

  /** Messages already sent are still delivered. */
  end(error?: KilnError): void {
    this.#end ??= { error };
    this.#arrived?.resolve();
    this.#arrived = undefined;
    this.#wakeSender();
  }

  #wakeSender(): void {
    this.#drained?.resolve();
    this.#drained = undefined;
  }
}
