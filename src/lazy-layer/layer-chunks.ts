import { readFileSync, writeFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import path from 'node:path';
import { Semaphore } from '../base/async/lifetime.ts';
import { SingleFlight } from '../base/async/single-flight.ts';
import type { Digest } from '../base/digest.ts';
import { asKilnError, errnoOf, type KilnError } from '../base/errors.ts';
import type { ThreadPool } from '../base/threads/thread-pool.ts';
import type { CompleteLayerInput } from './complete-layer.task.ts';
import { type LazyChunk, lazyNames } from './lazy-files.ts';
import type { PutChunkInput } from './put-chunk.task.ts';

/** A layer as its manifest describes it. */
export interface LazyLayer {
  readonly digest: Digest;
  /** Bytes of the blob. */
  readonly size: number;
  /** Of its table of contents. */
  readonly tocDigest: Digest;
}

/** Where bytes of a layer's blob come from. */
export interface LayerBytes {
  /** Reads some, which nobody has verified; from the whole blob once that is here. Throws `failed_precondition` when no parts can be had. */
  read(range: { readonly offset: number; readonly length: number }, signal: AbortSignal): Promise<Uint8Array>;
  /** Brings the whole blob, verified, and returns the file that it is in. */
  whole(signal: AbortSignal): Promise<string>;
}

/** Chunks of all layers that are in memory at a time. */
const chunksAtOnce = 4;
const settled = 'settled';

/** Where chunks of layers are made. */
export interface ChunkWorks {
  /** Threads that do nothing else: whoever reads a layer waits for them. */
  readonly pool: ThreadPool;
  readonly flights: SingleFlight<void>;
  readonly slots: Semaphore;
}

export function openChunkWorks(pool: ThreadPool): ChunkWorks {
  return { pool, flights: new SingleFlight(), slots: new Semaphore(chunksAtOnce) };
}

/** What has come of a layer, and how the rest comes. */
export class LayerChunks {
  readonly #directory: string;
  readonly #source: LayerBytes;
  readonly #works: ChunkWorks;
  #present: Uint8Array;
  #missing: number;

  /** `directory`: see `lazyNames`. Throws a SystemError when it is not whole. */
  constructor(directory: string, source: LayerBytes, works: ChunkWorks) {
    this.#directory = directory;
    this.#source = source;
    this.#works = works;
    this.#present = trustedPresence(directory);
    this.#missing = countMissing(this.#present);
  }

  get isComplete(): boolean {
    return this.#missing === 0;
  }

  /** Fetches those of the chunks that have not come. */
  async bring(chunks: readonly LazyChunk[], signal: AbortSignal): Promise<void> {
    for (const chunk of chunks) {
      if (this.#present[chunk.index] !== 1) await this.#fetch(chunk, signal);
    }
  }

  /** Fetches all that has not come. */
  async complete(signal: AbortSignal): Promise<void> {
    if (this.isComplete) return;
    const { flights, pool } = this.#works;
    await flights.run(
      `all ${this.#directory}`,
      async (flight) => {
        const blob = await this.#source.whole(flight.signal);
        await pool.run<CompleteLayerInput, void>(
          new URL('./complete-layer.task.ts', import.meta.url),
          { directory: this.#directory, blob },
          { signal: flight.signal },
        );
        this.#present = readPresence(this.#directory);
        this.#missing = countMissing(this.#present);
      },
      { signal },
    );
  }

  async #fetch(chunk: LazyChunk, signal: AbortSignal): Promise<void> {
    const { flights, slots } = this.#works;
    await flights.run(
      `${chunk.index} ${this.#directory}`,
      async (flight) => {
        if (this.#present[chunk.index] === 1) return;
        using _slot = await slots.acquire(flight.signal);
        try {
          await this.#put(chunk, flight.signal);
        } catch (error) {
          // Who sends no parts, or wrong ones, may send the whole. If that is what its digest says, and has no such chunk, nobody has.
          if (!['failed_precondition', 'data_loss'].includes(asKilnError(error).code)) throw error;
          await this.#source.whole(flight.signal);
          await this.#put(chunk, flight.signal);
        }
        if (this.#present[chunk.index] === 1) return;
        this.#present[chunk.index] = 1;
        this.#missing--;
      },
      { signal },
    );
  }

  async #put(chunk: LazyChunk, signal: AbortSignal): Promise<void> {
    const range = { offset: chunk.memberOffset, length: chunk.memberSize };
    const member = await this.#source.read(range, signal);
    await this.#works.pool.run<PutChunkInput, void>(
      new URL('./put-chunk.task.ts', import.meta.url),
      { directory: this.#directory, chunk, member },
      { signal },
    );
  }

  /** Makes sure that what has come is kept if the machine loses power. */
  async [Symbol.asyncDispose](): Promise<void> {
    try {
      for (const name of [lazyNames.data, lazyNames.present])
        await syncFile(path.join(this.#directory, name));
      writeFileSync(path.join(this.#directory, lazyNames.boot), settled);
    } catch {
      // What is not known to be on the disk counts as missing after the next start of the machine.
    }
  }
}

async function syncFile(file: string): Promise<void> {
  await using handle = await open(file, 'r+');
  await handle.datasync();
}

/**
 * Which chunks are present, a byte for each. After a machine has lost power its files may say that chunks are present which are not: only what
 * was written since the machine started, or was settled before, is believed.
 */
function trustedPresence(directory: string): Uint8Array {
  const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
  const file = path.join(directory, lazyNames.boot);
  let written: string | undefined;
  try {
    written = readFileSync(file, 'utf8');
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT') throw error;
  }
  const present = readPresence(directory);
  if (written !== boot && written !== settled) {
    present.fill(0);
    writeFileSync(path.join(directory, lazyNames.present), present);
  }
  if (written !== boot) writeFileSync(file, boot);
  return present;
}

function readPresence(directory: string): Uint8Array {
  return readFileSync(path.join(directory, lazyNames.present));
}

function countMissing(present: Uint8Array): number {
  return present.reduce((count, byte) => (byte === 1 ? count : count + 1), 0);
}

/** Why the last read of a layer that failed did so. */
export interface ReadFailure {
  readonly error: KilnError;
  /** `performance.now()`. */
  readonly at: number;
}
