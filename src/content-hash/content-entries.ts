import { readdirSync, rmSync, statSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import type { Digest } from '../base/digest.ts';
import type { ThreadPool } from '../base/threads/thread-pool.ts';
import type { CompareEntriesInput } from './compare-entries.task.ts';
import type { ContentComparison } from './content-change.ts';
import { digestOfEntriesFile, entriesFile } from './entries-file.ts';
import type { KeepEntriesInput } from './keep-entries.task.ts';

const tasks = {
  keep: new URL('./keep-entries.task.ts', import.meta.url),
  compare: new URL('./compare-entries.task.ts', import.meta.url),
};

/** Keeps what content checksums cover. */
export interface EntryKeeper {
  /** `told`: what tells of the entries that the digest covers, or the digests that it combines. Returns at once. What cannot be kept is lost without an error. */
  keep(digest: Digest, told: Uint8Array): void;
}

/** Compares what content checksums cover. */
export interface EntryComparer {
  /** Returns undefined when one of the two is not kept any more. */
  compare(before: Digest, after: Digest, signal?: AbortSignal): Promise<ContentComparison | undefined>;
}

/** What content checksums cover, kept to tell later what has changed. Losing some of it loses explanations only. */
export interface ContentEntries extends EntryKeeper, EntryComparer {}

export interface ContentEntriesOptions {
  readonly directory: string;
  readonly pool: ThreadPool;
  /** The bytes on the disk that may be kept; 32 MB by default. */
  readonly maxBytes?: number;
}

const defaultMaxBytes = 32 << 20;
const blockSize = 4096;

/** Opens the store in `directory`: one compressed file per digest (`entries-file.ts`). The least recently used are removed first. */
export async function openContentEntries(
  options: ContentEntriesOptions,
): Promise<ContentEntries & AsyncDisposable> {
  await mkdir(options.directory, { recursive: true, mode: 0o700 });
  return new EntryFiles(options);
}

class EntryFiles implements ContentEntries, AsyncDisposable {
  readonly #directory: string;
  readonly #pool: ThreadPool;
  readonly #maxBytes: number;
  /** Sizes of the files, the least recently used first. */
  readonly #sizes = new Map<Digest, number>();
  readonly #writing = new Map<Digest, Promise<void>>();
  #total = 0;

  constructor({ directory, pool, maxBytes = defaultMaxBytes }: ContentEntriesOptions) {
    this.#directory = directory;
    this.#pool = pool;
    this.#maxBytes = maxBytes;
    const found = readdirSync(directory).flatMap((name) => {
      const file = path.join(directory, name);
      const digest = digestOfEntriesFile(name);
      if (digest) {
        const { size, mtimeMs } = statSync(file);
        return [{ digest, size, mtimeMs }];
      }
      rmSync(file, { force: true });
      return [];
    });
    for (const { digest, size } of found.sort((a, b) => a.mtimeMs - b.mtimeMs)) this.#add(digest, size);
  }

  keep(digest: Digest, hashed: Uint8Array): void {
    if (this.#writing.has(digest) || this.#use(digest)) return;
    const writing = this.#write(digest, hashed)
      // A full disk, most likely: what is not kept is not explained.
      .catch(() => {})
      .finally(() => this.#writing.delete(digest));
    this.#writing.set(digest, writing);
  }

  async #write(digest: Digest, hashed: Uint8Array): Promise<void> {
    const size = await this.#pool.run<KeepEntriesInput, number>(tasks.keep, {
      file: this.#file(digest),
      hashed,
    });
    this.#add(digest, size);
  }

  async compare(before: Digest, after: Digest, signal?: AbortSignal): Promise<ContentComparison | undefined> {
    await Promise.all(this.#writing.values());
    if (!this.#use(before) || !this.#use(after)) return undefined;
    return await this.#pool.run<CompareEntriesInput, ContentComparison | undefined>(
      tasks.compare,
      { directory: this.#directory, before, after },
      { signal },
    );
  }

  #file(digest: Digest): string {
    return path.join(this.#directory, entriesFile(digest));
  }

  #use(digest: Digest): boolean {
    const size = this.#sizes.get(digest);
    if (size === undefined) return false;
    this.#sizes.delete(digest);
    this.#sizes.set(digest, size);
    return true;
  }

  #add(digest: Digest, length: number): void {
    const size = Math.ceil(length / blockSize) * blockSize;
    this.#sizes.set(digest, size);
    this.#total += size;
    for (const [oldest, oldestSize] of this.#sizes) {
      if (this.#total <= this.#maxBytes || this.#sizes.size === 1) return;
      rmSync(this.#file(oldest), { force: true });
      this.#sizes.delete(oldest);
      this.#total -= oldestSize;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#writing.values());
  }
}
