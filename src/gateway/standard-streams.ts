import { Socket } from 'node:net';
import { Duplex } from 'node:stream';

/**
 * The standard input and output of this process as one stream. Writes never wait for the other end to read, since Node's HTTP/2 stops
 * reading while a write is under way; what is written is bounded by the windows of the connection.
 */
export class StandardStreams extends Duplex {
  readonly #input = new Socket({ fd: 0, readable: true, writable: false });
  readonly #output = new Socket({ fd: 1, readable: false, writable: true });

  constructor() {
    super();
    this.#input.on('data', (chunk) => {
      if (!this.push(chunk)) this.#input.pause();
    });
    this.#input.on('end', () => this.push(null));
    for (const socket of [this.#input, this.#output]) socket.on('error', (error) => this.destroy(error));
  }

  override _read(): void {
    if (this.#input.isPaused()) this.#input.resume();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, callback: (error?: Error | null) => void): void {
    this.#output.write(chunk);
    callback();
  }

  override _final(callback: (error?: Error | null) => void): void {
    this.#output.end(callback);
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    this.#input.destroy();
    this.#output.destroySoon();
    callback(error);
  }
}
