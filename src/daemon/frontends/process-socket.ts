import { Duplex } from 'node:stream';
import { type Deferred, deferred } from '../../base/async/lifetime.ts';

interface Write {
  readonly chunk: Uint8Array;
  readonly written: (error?: Error | null) => void;
}

/**
 * The standard input and output of a process as one stream: what is written here goes to the process, and what the process writes is
 * read here. A write lasts until the process has taken it, so one that asks and does not listen is not served any further.
 */
export class ProcessSocket extends Duplex {
  #write: Write | undefined;
  #isEnded = false;
  #turn: Deferred<void> = deferred();
  #room: Deferred<void> | undefined;

  constructor() {
    super({ readableHighWaterMark: 256 * 1024, writableHighWaterMark: 256 * 1024 });
    // The connection over it notices; nobody else has to know.
    this.on('error', () => {});
  }

  /** Takes what the process has written. Returns what to wait for when nobody reads it. */
  received(data: Uint8Array): Promise<void> | undefined {
    if (this.destroyed || this.push(data)) return undefined;
    this.#room ??= deferred();
    return this.#room.promise;
  }

  /** What goes to the process, until this side says nothing more. */
  async *input(): AsyncGenerator<Uint8Array> {
    for (;;) {
      await this.#turn.promise;
      this.#turn = deferred();
      const write = this.#write;
      if (write) {
        yield write.chunk;
        if (this.#write === write) {
          this.#write = undefined;
          write.written();
        }
      }
      if (this.#isEnded) return;
    }
  }

  override _read(): void {
    this.#room?.resolve();
    this.#room = undefined;
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, written: Write['written']): void {
    this.#write = { chunk, written };
    this.#turn.resolve();
  }

  override _writev(chunks: readonly { readonly chunk: Buffer }[], written: Write['written']): void {
    this._write(Buffer.concat(chunks.map(({ chunk }) => chunk)), 'binary', written);
  }

  override _final(callback: (error?: Error | null) => void): void {
    this.#end();
    callback();
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    this.#write = undefined;
    this.#end();
    this._read();
    callback(error);
  }

  #end(): void {
    this.#isEnded = true;
    this.#turn.resolve();
  }
}
