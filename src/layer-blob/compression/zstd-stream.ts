import { constants, createZstdDecompress } from 'node:zlib';
import { Decoder, decodedChunkSize } from './decoder.ts';

/** RFC 8878, 3.1.1.1: 2^27 is what every decoder of `--long` archives takes. */
const maximumWindowLog = 27;

/**
 * Decompresses any number of zstd frames. Node's decoder stops after the first, so the input is cut into frames by
 * reading their structure (RFC 8878, 3.1.1): a header, blocks that say their length, perhaps a checksum.
 * What follows the last frame is not looked at.
 */
export async function* decompressZstd(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const scanner = new FrameScanner();
  let frame: Decoder | undefined;
  try {
    for await (const chunk of source) {
      for (const piece of scanner.push(chunk)) {
        if (piece.skipped) continue;
        frame ??= newDecoder();
        yield* frame.push(piece.bytes);
        if (!piece.last) continue;
        yield* frame.end();
        frame = undefined;
      }
      if (scanner.isPast) return;
    }
    if (scanner.isInside) throw new Error('the last zstd frame is cut short');
  } finally {
    frame?.[Symbol.dispose]();
  }
}

function newDecoder(): Decoder {
  return new Decoder(
    createZstdDecompress({
      chunkSize: decodedChunkSize,
      params: { [constants.ZSTD_d_windowLogMax]: maximumWindowLog },
    }),
  );
}

interface FramePiece {
  readonly bytes: Uint8Array;
  /** The frame ends with this piece. */
  readonly last: boolean;
  /** Of a frame that holds no data. */
  readonly skipped: boolean;
}

type ScanState =
  /** Collects a fixed number of bytes that say what comes next. */
  | { readonly kind: 'magic' | 'skipped-size' | 'descriptor' | 'block-header'; readonly wanted: number }
  /** Lets bytes pass. */
  | { readonly kind: 'pass'; remaining: number; readonly then: 'block-header' | 'end' }
  /** Behind the last frame. */
  | { readonly kind: 'past' };

class FrameScanner {
  #state: ScanState = { kind: 'magic', wanted: 4 };
  #field: number[] = [];
  #skipped = false;
  #hasChecksum = false;

  /** Whether more must come. */
  get isInside(): boolean {
    return this.#state.kind !== 'magic' && this.#state.kind !== 'past';
  }

  /** Whether something followed that is no frame. */
  get isPast(): boolean {
    return this.#state.kind === 'past';
  }

  /** Cuts a chunk where frames end. */
  *push(chunk: Uint8Array): Generator<FramePiece> {
    let start = 0;
    let at = 0;
    while (at < chunk.length) {
      let ended = false;
      const state = this.#state;
      if (state.kind === 'past') return;
      if (state.kind === 'pass') {
        const passed = Math.min(state.remaining, chunk.length - at);
        at += passed;
        state.remaining -= passed;
        if (state.remaining === 0) ended = this.#after(state.then);
      } else {
        this.#field.push(chunk[at++]!);
        if (this.#field.length === state.wanted) {
          const field = Buffer.from(this.#field);
          ended = this.#read(state.kind, field);
          const before = field.length - (at - start);
          if (state.kind === 'magic' && before > 0 && !this.isPast) {
            yield { bytes: field.subarray(0, before), last: false, skipped: this.#skipped };
          }
        }
      }
      if (ended) {
        yield { bytes: chunk.subarray(start, at), last: true, skipped: this.#skipped };
        start = at;
      }
    }
    // The first bytes of what may be a frame are kept until it is one.
    const isKnown = this.#state.kind !== 'magic' && this.#state.kind !== 'past';
    if (start < at && isKnown)
      yield { bytes: chunk.subarray(start, at), last: false, skipped: this.#skipped };
  }

  /** Returns whether the frame has ended. */
  #read(kind: 'magic' | 'skipped-size' | 'descriptor' | 'block-header', field: Buffer): boolean {
    this.#field = [];
    switch (kind) {
      case 'magic': {
        const magic = field.readUInt32LE(0);
        this.#skipped = magic >>> 4 === 0x0184d2a5;
        // The first was looked at before.
        if (!this.#skipped && magic !== 0xfd2fb528) {
          this.#state = { kind: 'past' };
          return false;
        }
        this.#state = this.#skipped ? { kind: 'skipped-size', wanted: 4 } : { kind: 'descriptor', wanted: 1 };
        return false;
      }
      case 'skipped-size':
        return this.#pass(field.readUInt32LE(0), 'end');
      case 'descriptor': {
        const flags = field[0]!;
        const isSingleSegment = (flags & 0x20) !== 0;
        this.#hasChecksum = (flags & 0x04) !== 0;
        const window = isSingleSegment ? 0 : 1;
        const dictionary = [0, 1, 2, 4][flags & 3]!;
        const contentSize = [isSingleSegment ? 1 : 0, 2, 4, 8][flags >> 6]!;
        return this.#pass(window + dictionary + contentSize, 'block-header');
      }
      case 'block-header': {
        const header = field.readUIntLE(0, 3);
        const isRepeated = ((header >> 1) & 3) === 1;
        const length = isRepeated ? 1 : header >> 3;
        const isLast = (header & 1) !== 0;
        if (isLast) return this.#pass(length + (this.#hasChecksum ? 4 : 0), 'end');
        return this.#pass(length, 'block-header');
      }
    }
  }

  #pass(bytes: number, then: 'block-header' | 'end'): boolean {
    if (bytes === 0) return this.#after(then);
    this.#state = { kind: 'pass', remaining: bytes, then };
    return false;
  }

  #after(then: 'block-header' | 'end'): boolean {
    this.#state = then === 'end' ? { kind: 'magic', wanted: 4 } : { kind: 'block-header', wanted: 3 };
    return then === 'end';
  }
}
