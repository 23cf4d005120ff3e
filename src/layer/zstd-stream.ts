import { once } from 'node:events';
import { constants, createZstdDecompress, type ZstdDecompress } from 'node:zlib';

const chunkSize = 1 << 18;
/** RFC 8878, 3.1.1.1: 2^27 is what every decoder of `--long` archives takes. */
const maximumWindowLog = 27;

/**
 * Decompresses any number of zstd frames. Node's decoder stops after the first, so the input is cut into frames by
 * reading their structure (RFC 8878, 3.1.1): a header, blocks that say their length, perhaps a checksum.
 */
export async function* decompressZstd(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const scanner = new FrameScanner();
  let frame: Frame | undefined;
  try {
    for await (const chunk of source) {
      for (const piece of scanner.push(chunk)) {
        if (piece.skipped) continue;
        frame ??= new Frame();
        yield* frame.push(piece.bytes);
        if (!piece.last) continue;
        yield* frame.end();
        frame = undefined;
      }
    }
    if (scanner.isInside) throw new Error('the last zstd frame is cut short');
  } finally {
    frame?.[Symbol.dispose]();
  }
}

/** One frame's decoder, as something to push to and pull from. */
class Frame implements Disposable {
  readonly #decoder: ZstdDecompress = createZstdDecompress({
    chunkSize,
    params: { [constants.ZSTD_d_windowLogMax]: maximumWindowLog },
  });
  #failure: unknown;

  constructor() {
    this.#decoder.on('error', (error) => {
      this.#failure = error;
    });
  }

  *#drain(): Generator<Uint8Array> {
    for (;;) {
      const chunk = this.#decoder.read() as Buffer | null;
      if (chunk === null) return;
      yield chunk;
    }
  }

  async *push(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
    const written = new Promise<void>((resolve, reject) =>
      this.#decoder.write(bytes, (error) => (error ? reject(error) : resolve())),
    );
    yield* this.#until(written);
  }

  async *end(): AsyncGenerator<Uint8Array> {
    const ended = once(this.#decoder, 'end').then(() => {});
    this.#decoder.end();
    yield* this.#until(ended);
  }

  /** What the decoder makes until `done`; it goes on only while its output is taken. */
  async *#until(done: Promise<void>): AsyncGenerator<Uint8Array> {
    let pending = true;
    const settled = done.then(
      () => {
        pending = false;
      },
      (error) => {
        pending = false;
        this.#failure ??= error;
      },
    );
    while (pending) {
      yield* this.#drain();
      const readable = new AbortController();
      await Promise.race([
        settled,
        once(this.#decoder, 'readable', { signal: readable.signal }).catch(() => {}),
      ]);
      readable.abort();
    }
    yield* this.#drain();
    if (this.#failure !== undefined) throw this.#failure;
  }

  [Symbol.dispose](): void {
    this.#decoder.destroy();
  }
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
  | { readonly kind: 'pass'; remaining: number; readonly then: 'block-header' | 'end' };

class FrameScanner {
  #state: ScanState = { kind: 'magic', wanted: 4 };
  #field: number[] = [];
  #skipped = false;
  #hasChecksum = false;

  get isInside(): boolean {
    return this.#state.kind !== 'magic' || this.#field.length > 0;
  }

  /** Cuts a chunk where frames end. */
  *push(chunk: Uint8Array): Generator<FramePiece> {
    let start = 0;
    let at = 0;
    while (at < chunk.length) {
      let ended = false;
      const state = this.#state;
      if (state.kind === 'pass') {
        const passed = Math.min(state.remaining, chunk.length - at);
        at += passed;
        state.remaining -= passed;
        if (state.remaining === 0) ended = this.#after(state.then);
      } else {
        this.#field.push(chunk[at++]!);
        if (this.#field.length === state.wanted) ended = this.#read(state.kind, Buffer.from(this.#field));
      }
      if (ended) {
        yield { bytes: chunk.subarray(start, at), last: true, skipped: this.#skipped };
        start = at;
      }
    }
    if (start < at) yield { bytes: chunk.subarray(start, at), last: false, skipped: this.#skipped };
  }

  /** Answers whether the frame has ended. */
  #read(kind: 'magic' | 'skipped-size' | 'descriptor' | 'block-header', field: Buffer): boolean {
    this.#field = [];
    switch (kind) {
      case 'magic': {
        const magic = field.readUInt32LE(0);
        this.#skipped = magic >>> 4 === 0x0184d2a5;
        if (!this.#skipped && magic !== 0xfd2fb528)
          throw new Error('what follows a zstd frame is not another');
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
