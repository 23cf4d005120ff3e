import type { DatabaseSync } from 'node:sqlite';
import { KeyedLock } from '../base/async/lifetime.ts';
import { type Digest, digestOf } from '../base/digest.ts';
import type { WaitContext } from '../base/progress.ts';
import type { ThreadPool } from '../base/threads/thread-pool.ts';
import type {
  ChecksumPriming,
  ContentChecksums,
  ContentSelection,
  ContentSelections,
  KnownDigest,
  LayeredTree,
} from './checksum.ts';
import type { ChecksumTreeInput, ChecksumTreeOutput } from './checksum-tree.task.ts';
import { combinedContent } from './combined-content.ts';
import type { EntryKeeper } from './content-entries.ts';
import { FileDigestTable } from './file-digest-table.ts';
import type { PrimeDigestsInput } from './prime-digests.task.ts';

const tasks = {
  checksum: new URL('./checksum-tree.task.ts', import.meta.url),
  prime: new URL('./prime-digests.task.ts', import.meta.url),
};

/** Content checksums of layer directories, until these are gone. */
export interface LayerChecksums extends ContentChecksums, ChecksumPriming {
  /** To be called when the layer directory is gone. */
  forget(layerDir: string): void;
}

/**
 * Returns content checksums that read layer directories without a mount, in the threads of `pool`, and keep the digests of files
 * in `database` (see `FileDigestTable`). `entries` keeps what they cover.
 */
export function createContentChecksums({
  database,
  pool,
  entries,
}: {
  readonly database: DatabaseSync;
  readonly pool: ThreadPool;
  readonly entries?: EntryKeeper;
}): LayerChecksums {
  return new LayerContentChecksums(new FileDigestTable(database), pool, entries);
}

/** The number of checksums that are kept in memory, a few hundred bytes each. */
const maxRemembered = 10_000;

class LayerContentChecksums implements LayerChecksums {
  readonly #table: FileDigestTable;
  readonly #pool: ThreadPool;
  readonly #entries: EntryKeeper | undefined;
  /** Locks by topmost layer directory, so that two selections of one tree do not read the same files twice. */
  readonly #locks = new KeyedLock();
  /** Checksums by the tree's id and the selection. The oldest goes first. */
  readonly #remembered = new Map<string, Digest>();

  constructor(table: FileDigestTable, pool: ThreadPool, entries: EntryKeeper | undefined) {
    this.#table = table;
    this.#pool = pool;
    this.#entries = entries;
  }

  async checksum(tree: LayeredTree, selection: ContentSelection, context: WaitContext = {}): Promise<Digest> {
    const key = JSON.stringify([tree.id, selection]);
    const known = this.#remembered.get(key);
    if (known) return known;
    const digest = await this.#read(tree, selection, context);
    if (this.#remembered.size >= maxRemembered)
      this.#remembered.delete(this.#remembered.keys().next().value!);
    this.#remembered.set(key, digest);
    return digest;
  }

  async combined(
    tree: LayeredTree,
    { selections, isInOrderOfUse }: ContentSelections,
    context: WaitContext = {},
  ): Promise<Digest> {
    const digests = await Promise.all(selections.map((each) => this.checksum(tree, each, context)));
    const hashed = combinedContent(digests, isInOrderOfUse);
    const digest = digestOf(hashed);
    this.#entries?.keep(digest, hashed);
    return digest;
  }

  async #read(tree: LayeredTree, selection: ContentSelection, context: WaitContext): Promise<Digest> {
    const dirs = [...(await tree.layerDirs(context))].reverse();
    using _lock = await this.#locks.acquire(dirs[0] ?? '', context.signal);
    const layers = dirs.map((dir) => ({ dir, known: this.#table.get(dir) }));
    const { digest, learned, entries } = await this.#pool.run<ChecksumTreeInput, ChecksumTreeOutput>(
      tasks.checksum,
      { layers, selection, withEntries: this.#entries !== undefined },
      { signal: context.signal, transfer: buffersOf(layers.map((layer) => layer.known)) },
    );
    for (const { dir, packed } of learned) this.#table.put(dir, packed);
    if (entries) this.#entries?.keep(digest, entries);
    return digest;
  }

  async prime(layerDir: string, entries: readonly KnownDigest[], signal?: AbortSignal): Promise<void> {
    using _lock = await this.#locks.acquire(layerDir, signal);
    const known = this.#table.get(layerDir);
    const packed = await this.#pool.run<PrimeDigestsInput, Uint8Array>(
      tasks.prime,
      { dir: layerDir, known, entries },
      { signal, transfer: buffersOf([known]) },
    );
    this.#table.put(layerDir, packed);
  }

  forget(layerDir: string): void {
    this.#table.forget(layerDir);
  }
}

function buffersOf(arrays: readonly (Uint8Array | undefined)[]): ArrayBuffer[] {
  return arrays.flatMap((array) => (array?.buffer instanceof ArrayBuffer ? [array.buffer] : []));
}
