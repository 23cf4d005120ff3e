import { closeSync, openSync, readSync, writeSync } from 'node:fs';

/** A file that is there, read and written at places. Blocks. */
export class LayerFile implements Disposable {
  readonly #descriptor: number;

  constructor(file: string, access: 'read' | 'change' = 'change') {
    this.#descriptor = openSync(file, access === 'read' ? 'r' : 'r+');
  }

  write(bytes: Uint8Array, position: number): void {
    for (let done = 0; done < bytes.length; ) {
      done += writeSync(this.#descriptor, bytes, done, bytes.length - done, position + done);
    }
  }

  /** Fewer bytes at the end of the file. */
  read(position: number, length: number): Buffer {
    const buffer = Buffer.allocUnsafe(length);
    return buffer.subarray(0, readSync(this.#descriptor, buffer, 0, length, position));
  }

  [Symbol.dispose](): void {
    closeSync(this.#descriptor);
  }
}
