import { existsSync } from 'node:fs';
import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { KeyedLock } from '../base/async/lifetime.ts';
import { removeRows } from '../base/database/remove-rows.ts';
import { type Digest, digestOf } from '../base/digest.ts';
import type { WaitContext } from '../base/progress.ts';
import type { ThreadPool } from '../base/threads/thread-pool.ts';
import type { ImmutableRef } from '../ref/ref.ts';
import type { ContentChecksums, ContentSelection } from './checksum.ts';
import type { ChecksumTreeInput, ChecksumTreeOutput } from './checksum-tree.task.ts';
import { combinedContent } from './combined-content.ts';
import type { ContentEntries } from './content-entries.ts';
import type { PrimeDigestsInput } from './prime-digests.task.ts';

const tasks = {
  checksum: new URL('./checksum-tree.task.ts', import.meta.url),
  prime: new URL('./prime-digests.task.ts', import.meta.url),
};

/** The digest of a regular file's data, by its path in a layer directory (bytes where it is not UTF-8). */
export interface KnownDigest {
  readonly path: string | Uint8Array;
  /** Undefined: there is no such file any more. */
  readonly digest: Digest | undefined;
}

/** Content checksums that can also be told digests that somebody took anyway. */
export interface PrimableChecksums extends ContentChecksums {
  /**
   * Remembers the digests of files just written to `layerDir`, so that they are not read again. Call it when the files
   * have their final metadata: what is known of a file counts while size, inode and times stay the same.
   */
  prime(layerDir: string, entries: readonly KnownDigest[], signal?: AbortSignal): Promise<void>;
  /** The layer directory is gone. */
  forget(layerDir: string): void;
}

/**
 * Content checksums that read layer directories without a mount, in the threads of `pool`, and keep the digests of files
 * in `database` (table `layer_file_contents`, one row per layer directory). `entries` keeps what was hashed.
 */
export function createContentChecksums({
  database,
  pool,
  entries,
}: {
  readonly database: DatabaseSync;
  readonly pool: ThreadPool;
  readonly entries?: Pick<ContentEntries, 'keep'>;
}): PrimableChecksums {
  return new LayerContentChecksums(new FileDigestTable(database), pool, entries);
}

/** Answers kept in memory, a few hundred bytes each. */
const maxAnswers = 10_000;

class LayerContentChecksums implements PrimableChecksums {
  readonly #table: FileDigestTable;
  readonly #pool: ThreadPool;
  readonly #entries: Pick<ContentEntries, 'keep'> | undefined;
  /** By topmost layer directory: two selections of one tree should not read the same files twice. */
  readonly #locks = new KeyedLock();
  /** Answers given before, by ref and selection: what a ref's id names never changes. The oldest goes first. */
  readonly #answers = new Map<string, Digest>();

  constructor(table: FileDigestTable, pool: ThreadPool, entries: Pick<ContentEntries, 'keep'> | undefined) {
    this.#table = table;
    this.#pool = pool;
    this.#entries = entries;
  }

  async checksum(ref: ImmutableRef, selection: ContentSelection, context: WaitContext = {}): Promise<Digest> {
    const question = JSON.stringify([ref.id, selection]);
    const answered = this.#answers.get(question);
    if (answered) return answered;
    const digest = await this.#read(ref, selection, context);
    if (this.#answers.size >= maxAnswers) this.#answers.delete(this.#answers.keys().next().value!);
    this.#answers.set(question, digest);
    return digest;
  }

  async combined(
    ref: ImmutableRef,
    selections: readonly ContentSelection[],
    context: WaitContext = {},
  ): Promise<Digest> {
    const digests = await Promise.all(selections.map((each) => this.checksum(ref, each, context)));
    if (digests.length === 1) return digests[0]!;
    const hashed = combinedContent(digests);
    const digest = digestOf(hashed);
    this.#entries?.keep(digest, hashed);
    return digest;
  }

  async #read(ref: ImmutableRef, selection: ContentSelection, context: WaitContext): Promise<Digest> {
    const dirs = [...(await ref.layerDirs(context))].reverse();
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

class FileDigestTable {
  readonly #get: StatementSync;
  readonly #put: StatementSync;
  readonly #forget: StatementSync;

  /** Forgets the layers that are gone. */
  constructor(database: DatabaseSync) {
    database.exec(`
      CREATE TABLE IF NOT EXISTS layer_file_contents (dir TEXT PRIMARY KEY, packed BLOB NOT NULL) STRICT;
    `);
    this.#get = database.prepare('SELECT packed FROM layer_file_contents WHERE dir = ?');
    this.#put = database.prepare('INSERT OR REPLACE INTO layer_file_contents (dir, packed) VALUES (?, ?)');
    this.#forget = database.prepare('DELETE FROM layer_file_contents WHERE dir = ?');
    const gone = database
      .prepare('SELECT dir FROM layer_file_contents')
      .all()
      .map(({ dir }) => String(dir))
      .filter((dir) => !existsSync(dir));
    removeRows(database, () => {
      for (const dir of gone) this.forget(dir);
    });
  }

  get(dir: string): Uint8Array | undefined {
    return this.#get.get(dir)?.packed as Uint8Array | undefined;
  }

  forget(dir: string): void {
    this.#forget.run(dir);
  }

  put(dir: string, packed: Uint8Array): void {
    this.#put.run(dir, packed);
  }
}
