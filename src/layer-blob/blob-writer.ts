import { closeSync, constants, openSync, readSync, writeSync } from 'node:fs';
import { Digester } from '../base/digest.ts';
import { KilnError } from '../base/errors.ts';
import type { BlobSink, WrittenBlob } from './blob-sink.ts';
import { type BlockFormat, InputTrailer, streamHeader, streamTrailer } from './compression/block-codec.ts';
import { BlockRing, type SharedBlockRing } from './compression/block-ring.ts';

export interface BlobWriterOptions {
  /** Undefined: the tar as it is. */
  readonly format: BlockFormat | undefined;
  /** How many other threads may help with compression. */
  readonly maxHelpers: number;
  /** Asks for one more thread to run `compress-blocks.task` on the ring. It need not come. */
  readonly callHelper: (ring: SharedBlockRing) => void;
  /** Throws when the work is not wanted any more. */
  readonly throwIfAborted: () => void;
}

/** How long to wait before looking again whether the work is still wanted. Milliseconds. */
const patience = 50;

/** Writes a layer's tar to a file, compressed, with the digests of both taken on the way. Synchronous: for threads. */
export class LayerBlobWriter implements BlobSink, Disposable {
  readonly #options: BlobWriterOptions;
  readonly #file: number;
  readonly #tarDigester = new Digester();
  readonly #blobDigester = new Digester();
  readonly #input = new InputTrailer();
  readonly #stage: Stage;
  #filled = 0;
  #size = 0;

  /** Creates the file, which must not exist. */
  constructor(path: string, options: BlobWriterOptions) {
    this.#options = options;
    this.#file = openSync(path, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL, 0o600);
    const put = (bytes: Uint8Array, isTar: boolean) => this.#put(bytes, isTar);
    this.#stage = options.format
      ? new CompressingStage(options.format, options, (bytes) => put(bytes, false))
      : new PlainStage((bytes) => put(bytes, true));
    if (options.format) this.#put(streamHeader(options.format), false);
  }

  write(chunk: Uint8Array): void {
    for (let at = 0; at < chunk.length; ) {
      const room = this.#stage.buffer;
      const taken = Math.min(chunk.length - at, room.length - this.#filled);
      room.set(chunk.subarray(at, at + taken), this.#filled);
      at += taken;
      this.#fill(taken);
    }
  }

  copyFrom(file: number, size: number, name: string): void {
    for (let left = size; left > 0; ) {
      const room = this.#stage.buffer;
      const read = readSync(file, room, this.#filled, Math.min(left, room.length - this.#filled), null);
      if (read === 0) {
        throw new KilnError('aborted', `${name} became ${left} bytes shorter while it was being read`);
      }
      left -= read;
      this.#fill(read);
    }
  }

  finish(): WrittenBlob {
    if (this.#filled > 0) this.#flush();
    this.#stage.finish();
    const { format } = this.#options;
    if (format) this.#put(streamTrailer(format, this.#input), false);
    const diffId = this.#tarDigester.digest();
    return {
      diffId,
      tarSize: this.#input.size,
      digest: format ? this.#blobDigester.digest() : diffId,
      size: this.#size,
    };
  }

  [Symbol.dispose](): void {
    this.#stage[Symbol.dispose]();
    closeSync(this.#file);
  }

  #fill(bytes: number): void {
    this.#filled += bytes;
    if (this.#filled === this.#stage.buffer.length) this.#flush();
  }

  #flush(): void {
    this.#options.throwIfAborted();
    const block = this.#stage.buffer.subarray(0, this.#filled);
    this.#filled = 0;
    this.#tarDigester.update(block);
    this.#input.update(block);
    this.#stage.push(block.length);
  }

  #put(bytes: Uint8Array, isTar: boolean): void {
    if (!isTar) this.#blobDigester.update(bytes);
    for (let at = 0; at < bytes.length; ) at += writeSync(this.#file, bytes, at);
    this.#size += bytes.length;
  }
}

/** What happens to full buffers of tar. */
interface Stage extends Disposable {
  /** Where the next bytes are put. */
  readonly buffer: Buffer;
  /** Takes the first `length` bytes of the buffer; short only once, at the end. */
  push(length: number): void;
  finish(): void;
}

class PlainStage implements Stage {
  readonly buffer = Buffer.allocUnsafeSlow(1 << 19);
  readonly #put: (bytes: Uint8Array) => void;

  constructor(put: (bytes: Uint8Array) => void) {
    this.#put = put;
  }

  push(length: number): void {
    this.#put(this.buffer.subarray(0, length));
  }

  finish(): void {}

  [Symbol.dispose](): void {}
}

/**
 * Keeps the ring full and writes out what is done. When the ring is full this thread compresses too, so the work goes on
 * whether or not other threads are free to help.
 */
class CompressingStage implements Stage {
  readonly #ring: BlockRing;
  readonly #options: BlobWriterOptions;
  readonly #put: (bytes: Uint8Array) => void;
  #published = 0;
  #drained = 0;

  constructor(format: BlockFormat, options: BlobWriterOptions, put: (bytes: Uint8Array) => void) {
    this.#ring = BlockRing.create(format, 4 + 4 * options.maxHelpers);
    this.#options = options;
    this.#put = put;
  }

  get buffer(): Buffer {
    return this.#ring.input(this.#published);
  }

  push(length: number): void {
    this.#ring.publish(this.#published++, length);
    const { maxHelpers, callHelper } = this.#options;
    if (this.#published > 1 && this.#ring.unclaimed > 0 && this.#ring.helperCount < maxHelpers) {
      this.#ring.changeHelperCount(1);
      callHelper(this.#ring.shared);
    }
    while (this.#drainIfDone());
    // The slot that is filled next must be free.
    while (this.#published - this.#drained >= this.#ring.slotCount) this.#drainNext();
  }

  finish(): void {
    while (this.#drained < this.#published) this.#drainNext();
  }

  [Symbol.dispose](): void {
    this.#ring.close();
  }

  #drainNext(): void {
    while (!this.#drainIfDone()) {
      this.#options.throwIfAborted();
      if (this.#ring.hasFailed) throw new KilnError('internal', 'a thread that compressed a block failed');
      if (!this.#ring.compressNext()) this.#ring.waitForOutput(this.#drained, patience);
    }
  }

  #drainIfDone(): boolean {
    if (this.#drained === this.#published) return false;
    const output = this.#ring.output(this.#drained);
    if (!output) return false;
    this.#put(output);
    this.#drained++;
    return true;
  }
}
