import type { MessagePort } from 'node:worker_threads';
import { type Deferred, deferred } from '../../base/async/lifetime.ts';
import { asKilnError, type ErrorCode, KilnError } from '../../base/errors.ts';
import { BatchBuilder, messagesOf } from './message-batch.ts';

/** Bytes on their way to the other thread, above which a sender waits. */
const unacknowledgedLimit = 8 * 1024 * 1024;

/** Milliseconds that messages wait for others after a batch has gone. */
const gathering = 2;

type Posted<Note> =
  | { readonly kind: 'batch'; readonly batch: Uint8Array }
  | { readonly kind: 'acknowledged'; readonly bytes: number }
  | { readonly kind: 'note'; readonly note: Note }
  | { readonly kind: 'end'; readonly error?: { readonly code: ErrorCode; readonly message: string } };

export interface ChannelHandler<Note> {
  /** Called in order, one at a time; the batch is acknowledged when it resolves. Throwing closes the channel. */
  message(message: Buffer): void | Promise<void>;
  note?(note: Note): void | Promise<void>;
  /** The other side sends nothing more. */
  end(error: KilnError | undefined): void;
}

/**
 * One end of a two-way connection between threads, for messages in batches with back-pressure, and for small `Note`s of
 * the two sides' own. `Incoming` are the notes this end receives.
 */
export class BatchChannel<Incoming, Outgoing> implements Disposable {
  readonly #port: MessagePort;
  readonly #builder = new BatchBuilder();
  #flushing = false;
  #flushedAt = 0;
  #unacknowledged = 0;
  #room: Deferred<void> | undefined;
  #failure: KilnError | undefined;

  constructor(port: MessagePort, handler: ChannelHandler<Incoming>) {
    this.#port = port;
    let last: Promise<void> = Promise.resolve();
    port.on('message', (posted: Posted<Incoming>) => {
      if (posted.kind === 'acknowledged') {
        this.#unacknowledged -= posted.bytes;
        if (this.#unacknowledged <= unacknowledgedLimit) this.#wake();
        return;
      }
      last = last.then(() => this.#handle(posted, handler));
    });
    port.on('close', () => this.close(new KilnError('canceled', 'the other thread closed the channel')));
  }

  /** Queues a copy of `message`. Wait for `ready` before sending much. */
  send(message: Uint8Array): void {
    if (this.#failure) throw this.#failure;
    if (!this.#builder.add(message)) {
      this.flush();
      this.#builder.add(message);
    }
    if (this.#flushing) return;
    this.#flushing = true;
    const flush = () => {
      this.#flushing = false;
      this.flush();
    };
    // In a stream of messages they gather for a while: many small batches cost more than what is in them.
    if (performance.now() - this.#flushedAt > gathering) setImmediate(flush);
    else setTimeout(flush, gathering);
  }

  /** Whether `ready` would wait. */
  get isFull(): boolean {
    return this.#unacknowledged > unacknowledgedLimit;
  }

  /** Resolves when the other side has caught up; rejects when the channel is closed. */
  async ready(): Promise<void> {
    while (this.isFull) {
      if (this.#failure) throw this.#failure;
      this.#room ??= deferred();
      await this.#room.promise;
    }
    if (this.#failure) throw this.#failure;
  }

  /** Resolves when the other side has handled everything. */
  async drained(): Promise<void> {
    this.flush();
    while (this.#unacknowledged > 0) {
      if (this.#failure) throw this.#failure;
      this.#room ??= deferred();
      await this.#room.promise;
    }
  }

  flush(): void {
    if (this.#builder.isEmpty || this.#failure) return;
    const batch = this.#builder.take();
    this.#flushedAt = performance.now();
    this.#unacknowledged += batch.byteLength;
    this.#port.postMessage({ kind: 'batch', batch } satisfies Posted<Outgoing>, [batch.buffer]);
  }

  note(note: Outgoing): void {
    this.flush();
    this.#port.postMessage({ kind: 'note', note } satisfies Posted<Outgoing>);
  }

  /** Nothing more comes from this side. */
  end(error?: unknown): void {
    this.flush();
    const failure = error === undefined ? undefined : asKilnError(error);
    this.#port.postMessage({
      kind: 'end',
      ...(failure ? { error: { code: failure.code, message: failure.message } } : {}),
    } satisfies Posted<Outgoing>);
  }

  close(error: KilnError): void {
    this.#failure ??= error;
    this.#wake();
    this.#port.close();
  }

  [Symbol.dispose](): void {
    this.flush();
    this.close(new KilnError('canceled', 'the channel is closed'));
  }

  async #handle(posted: Posted<Incoming>, handler: ChannelHandler<Incoming>): Promise<void> {
    if (this.#failure) return;
    try {
      switch (posted.kind) {
        case 'batch':
          for (const message of messagesOf(posted.batch)) {
            const work = handler.message(message);
            if (work) await work;
          }
          this.#port.postMessage({
            kind: 'acknowledged',
            bytes: posted.batch.byteLength,
          } satisfies Posted<Outgoing>);
          return;
        case 'note':
          await handler.note?.(posted.note);
          return;
        case 'end':
          handler.end(posted.error && new KilnError(posted.error.code, posted.error.message));
          return;
        case 'acknowledged':
          return;
      }
    } catch (error) {
      handler.end(asKilnError(error));
      this.close(asKilnError(error));
    }
  }

  #wake(): void {
    this.#room?.resolve();
    this.#room = undefined;
  }
}
