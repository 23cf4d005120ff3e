import { Duplex } from 'node:stream';
import { decodeBytesMessage, encodeBytesMessage } from '../api/bytes-message.ts';
import type { MessageStream } from '../api/message-stream.ts';
import { contained } from '../base/contained.ts';
import { asKilnError } from '../base/errors.ts';

/** What gRPC peers take as one message without being told to, with room to spare. */
const maximumChunk = 1024 * 1024;

/**
 * A byte stream in both directions over a call of `BytesMessage`s, such as `Control/Session`. It owns the call.
 *
 * Writes never wait. Node's HTTP/2 stops reading while a write is under way, so two ends that both waited for the other
 * to read would wait for ever. What is written is bounded all the same, by the windows of the connection inside.
 */
export class TunnelSocket extends Duplex {
  readonly #messages: MessageStream;
  readonly #incoming: AsyncIterator<Uint8Array>;

  constructor(messages: MessageStream) {
    super({ readableHighWaterMark: 256 * 1024, writableHighWaterMark: 256 * 1024 });
    this.#messages = messages;
    this.#incoming = messages[Symbol.asyncIterator]();
    // A connection over it notices; once that is gone, nobody else has to know.
    this.on('error', () => {});
  }

  override _read(): void {
    this.#receive();
  }

  readonly #receive = contained(
    async () => {
      let data: Uint8Array;
      do {
        const { done, value } = await this.#incoming.next();
        if (done) {
          this.push(null);
          return;
        }
        data = decodeBytesMessage(value);
      } while (data.length === 0);
      this.push(data);
    },
    (error) => this.destroy(asKilnError(error)),
  );

  override _write(chunk: Buffer, _encoding: BufferEncoding, callback: (error?: Error | null) => void): void {
    this.#send([chunk]);
    callback();
  }

  override _writev(
    chunks: readonly { readonly chunk: Buffer }[],
    callback: (error?: Error | null) => void,
  ): void {
    let batch: Buffer[] = [];
    let size = 0;
    for (const { chunk } of chunks) {
      if (size > 0 && size + chunk.length > maximumChunk) {
        this.#send(batch);
        batch = [];
        size = 0;
      }
      batch.push(chunk);
      size += chunk.length;
    }
    this.#send(batch);
    callback();
  }

  #send(chunks: readonly Buffer[]): void {
    this.#messages.send(encodeBytesMessage(...chunks)).catch((error) => this.destroy(error));
  }

  override _final(callback: (error?: Error | null) => void): void {
    this.#messages.closeSend().then(() => callback(), callback);
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    this.#messages[Symbol.asyncDispose]().then(
      () => callback(error),
      () => callback(error),
    );
  }
}
