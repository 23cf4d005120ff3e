import { type BlockFormat, compressBlock } from './block-codec.ts';

/** The memory of a ring, as it is handed to other threads. */
export interface SharedBlockRing {
  readonly format: BlockFormat;
  readonly slotCount: number;
  readonly control: SharedArrayBuffer;
  readonly memory: SharedArrayBuffer;
}

/** Words of the control memory: five counters, then three words for each slot. */
const published = 0;
const claimed = 1;
const closed = 2;
const failed = 3;
const helpers = 4;
const slotBase = 5;
const slotWords = 3;
/** A slot's words: length of its input and of its output, and one more than the number of the block that is done. */
const inputLength = 0;
const outputLength = 1;
const doneBlock = 2;

/**
 * Blocks on their way through compression, in memory that threads share. One thread owns the stream: it fills slots in
 * order, publishes them, and takes the results out in order. Any thread (the owner too) can claim the next published
 * block and compress it in place. Each claimed block is at work in a running thread, so waiting for one always ends:
 *
 *     free ──owner fills──► published ──any thread──► claimed ──► done ──owner drains──► free
 *
 * A slot's memory: the end of the block before it (dictionary), its input, its output.
 */
export class BlockRing {
  readonly shared: SharedBlockRing;
  readonly #control: Int32Array;
  readonly #memory: Buffer;
  readonly #slotSize: number;

  constructor(shared: SharedBlockRing) {
    this.shared = shared;
    this.#control = new Int32Array(shared.control);
    this.#memory = Buffer.from(shared.memory);
    this.#slotSize = slotSizeOf(shared.format);
  }

  static create(format: BlockFormat, slotCount: number): BlockRing {
    return new BlockRing({
      format,
      slotCount,
      control: new SharedArrayBuffer(4 * (slotBase + slotCount * slotWords)),
      memory: new SharedArrayBuffer(slotCount * slotSizeOf(format)),
    });
  }

  get slotCount(): number {
    return this.shared.slotCount;
  }

  /** The input memory of a block's slot. */
  input(block: number): Buffer {
    const { dictionarySize, blockSize } = this.shared.format;
    const start = this.#slotStart(block) + dictionarySize;
    return this.#memory.subarray(start, start + blockSize);
  }

  /** Offers the next block, whose first `length` bytes of input are filled, for compression. Owner only. */
  publish(block: number, length: number): void {
    const { dictionarySize, blockSize } = this.shared.format;
    if (block > 0 && dictionarySize > 0) {
      // Only the last block can be short, so the one before is full.
      const before = this.#slotStart(block - 1) + blockSize;
      this.#memory.copy(this.#memory, this.#slotStart(block), before, before + dictionarySize);
    }
    Atomics.store(this.#control, this.#word(block, inputLength), length);
    Atomics.store(this.#control, published, block + 1);
    Atomics.notify(this.#control, published);
  }

  /** Compresses the next block that nobody has claimed. Returns false when there is none. */
  compressNext(): boolean {
    const block = this.#claim();
    if (block === undefined) return false;
    try {
      const { dictionarySize, blockSize, outputSize } = this.shared.format;
      const start = this.#slotStart(block);
      const input = start + dictionarySize;
      const output = input + blockSize;
      const length = compressBlock(
        this.shared.format,
        this.#memory.subarray(input, input + Atomics.load(this.#control, this.#word(block, inputLength))),
        this.#memory.subarray(start, block === 0 ? start : input),
        this.#memory.subarray(output, output + outputSize),
      );
      Atomics.store(this.#control, this.#word(block, outputLength), length);
      Atomics.store(this.#control, this.#word(block, doneBlock), block + 1);
      Atomics.notify(this.#control, this.#word(block, doneBlock));
    } catch (error) {
      this.fail();
      throw error;
    }
    return true;
  }

  /** The compressed block, if it is done. Valid until its slot is filled again. */
  output(block: number): Buffer | undefined {
    if (Atomics.load(this.#control, this.#word(block, doneBlock)) !== block + 1) return undefined;
    const { dictionarySize, blockSize } = this.shared.format;
    const start = this.#slotStart(block) + dictionarySize + blockSize;
    return this.#memory.subarray(start, start + Atomics.load(this.#control, this.#word(block, outputLength)));
  }

  /** Waits until the block may be done. */
  waitForOutput(block: number, milliseconds: number): void {
    const word = this.#word(block, doneBlock);
    const value = Atomics.load(this.#control, word);
    if (value !== block + 1) Atomics.wait(this.#control, word, value, milliseconds);
  }

  /** Waits until a block is published that can be claimed. Returns false when the ring was closed, or no block came in time. */
  waitForInput(milliseconds: number): boolean {
    if (this.isClosed) return false;
    const value = Atomics.load(this.#control, published);
    if (Atomics.load(this.#control, claimed) < value) return true;
    return Atomics.wait(this.#control, published, value, milliseconds) !== 'timed-out' && !this.isClosed;
  }

  get unclaimed(): number {
    return Atomics.load(this.#control, published) - Atomics.load(this.#control, claimed);
  }

  get helperCount(): number {
    return Atomics.load(this.#control, helpers);
  }

  changeHelperCount(by: 1 | -1): void {
    Atomics.add(this.#control, helpers, by);
  }

  /** No more blocks come. */
  close(): void {
    Atomics.store(this.#control, closed, 1);
    Atomics.notify(this.#control, published);
  }

  get isClosed(): boolean {
    return Atomics.load(this.#control, closed) === 1;
  }

  /** A claimed block will not be done. */
  fail(): void {
    Atomics.store(this.#control, failed, 1);
  }

  get hasFailed(): boolean {
    return Atomics.load(this.#control, failed) === 1;
  }

  #claim(): number | undefined {
    for (;;) {
      const next = Atomics.load(this.#control, claimed);
      if (next >= Atomics.load(this.#control, published)) return undefined;
      if (Atomics.compareExchange(this.#control, claimed, next, next + 1) === next) return next;
    }
  }

  #slotStart(block: number): number {
    return (block % this.slotCount) * this.#slotSize;
  }

  #word(block: number, word: number): number {
    return slotBase + (block % this.slotCount) * slotWords + word;
  }
}

function slotSizeOf(format: BlockFormat): number {
  return format.dictionarySize + format.blockSize + format.outputSize;
}
