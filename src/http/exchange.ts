import { once } from 'node:events';
import type { ClientRequest, IncomingMessage } from 'node:http';
import { abortError, deferred } from '../base/async/lifetime.ts';
import { asKilnError, KilnError } from '../base/errors.ts';
import { keepReading, writingBroke } from './keep-reading.ts';
import { type FailureCode, NetworkFailure } from './network-failure.ts';

/** Why sending ends. Nobody is told; a reason of its own for every request would cost a stack trace. */
const sendingOver = Symbol('nothing more is sent');

/** A body to send; opened once there is a connection. */
export type BodySource = () => Promise<AsyncIterable<Uint8Array> | Uint8Array>;

/** Milliseconds. */
export interface HttpTimeouts {
  readonly connect: number;
  /** From the end of the request to the beginning of the answer. */
  readonly answer: number;
  /** How long the other side may take nothing that is sent, or send nothing that is waited for. */
  readonly stall: number;
}

/**
 * Sends a request that was just created, and returns the response with its body unread. A refusal that comes early ends the
 * sending, and then the connection; it is the response even if its server has closed the connection. Rejects with the error of the
 * connection (the system's, Node's or a `NetworkFailure`), or with a KilnError when `signal` aborts or the body to send cannot be
 * read. The signal ends the response's body as well, and so does a server that sends nothing.
 */
export async function exchange(
  request: ClientRequest,
  body: BodySource | undefined,
  timeouts: HttpTimeouts,
  signal: AbortSignal,
): Promise<IncomingMessage> {
  using limit = new TimeLimit(request);
  const answered = deferred<IncomingMessage>();
  /** Aborts when sending has become impossible or useless. */
  const over = new AbortController();
  let response: IncomingMessage | undefined;
  request.once('response', (message) => {
    response = message;
    if (message.statusCode! >= 300) over.abort(sendingOver);
    answered.resolve(message);
  });
  // It may fail again after the answer has begun; the reader of the body gets that error.
  request.on('error', (error) => {
    over.abort(sendingOver);
    answered.reject(error);
  });
  const broke = () => over.abort(sendingOver);
  request.once('socket', (socket) => {
    if (!request.reusedSocket) keepReading(socket);
    socket.once(writingBroke, broke);
  });
  const stop = () => (response ?? request).destroy(abortError(signal));
  signal.addEventListener('abort', stop, { once: true });
  request.once('close', () => {
    signal.removeEventListener('abort', stop);
    request.socket?.off(writingBroke, broke);
    over.abort(sendingOver);
    // After an error or a response this says nothing new; an upgrade that nobody asked for has neither.
    answered.reject(new NetworkFailure('ERR_NO_ANSWER'));
  });

  const send = async () => {
    limit.start(timeouts.connect, 'ERR_CONNECT_TIMEOUT');
    await connected(request, over.signal);
    limit.stop();
    if (body) await sendBody(request, body, { limit, stall: timeouts.stall, over: over.signal });
    else request.end();
    limit.start(timeouts.answer, 'ERR_ANSWER_TIMEOUT');
  };
  const sending = send();
  sending.catch((error: unknown) => request.destroy(asKilnError(error)));
  const answer = await answered.promise.finally(() => sending);
  answer.once('close', () => {
    if (!request.writableFinished) request.destroy();
  });
  endWhenSilent(request, answer, timeouts.stall);
  return answer;
}

async function connected(request: ClientRequest, over: AbortSignal): Promise<void> {
  if (!request.socket) await eventOf(request, 'socket', over);
  if (request.socket?.connecting) await eventOf(request.socket, 'connect', over);
}

async function sendBody(
  request: ClientRequest,
  open: BodySource,
  { limit, stall, over }: { readonly limit: TimeLimit; readonly stall: number; readonly over: AbortSignal },
): Promise<void> {
  if (over.aborted) return;
  const body = await open();
  if (body instanceof Uint8Array) {
    request.end(body);
    return;
  }
  const promised = request.getHeader('content-length');
  let size = 0;
  for await (const chunk of body) {
    if (over.aborted) return;
    size += chunk.length;
    if (promised !== undefined && size > Number(promised)) break;
    if (request.write(chunk)) continue;
    limit.start(stall, 'ERR_TRANSFER_STALLED');
    await eventOf(request, 'drain', over);
    limit.stop();
  }
  if (over.aborted) return;
  if (promised !== undefined && size !== Number(promised)) {
    throw new KilnError('data_loss', `what is to be sent has not the ${promised} bytes that were announced`);
  }
  request.end();
}

/** Waits for an event, but no longer than until `over` aborts. */
async function eventOf(emitter: NodeJS.EventEmitter, name: string, over: AbortSignal): Promise<void> {
  await once(emitter, name, { signal: over }).catch(() => {});
}

/** Destroys `body` when its reader waits and nothing comes. A reader that takes its time is no silence. */
function endWhenSilent(request: ClientRequest, body: IncomingMessage, stall: number): void {
  request.on('timeout', () => {
    if (body.readableLength > 0) request.setTimeout(stall);
    else body.destroy(new NetworkFailure('ERR_TRANSFER_STALLED'));
  });
  request.setTimeout(stall);
}

/** Destroys a request that takes too long. One limit at a time. */
class TimeLimit implements Disposable {
  readonly #request: ClientRequest;
  #timer: NodeJS.Timeout | undefined;

  constructor(request: ClientRequest) {
    this.#request = request;
  }

  start(milliseconds: number, code: FailureCode): void {
    this.stop();
    this.#timer = setTimeout(() => this.#request.destroy(new NetworkFailure(code)), milliseconds);
  }

  stop(): void {
    clearTimeout(this.#timer);
  }

  [Symbol.dispose](): void {
    this.stop();
  }
}
