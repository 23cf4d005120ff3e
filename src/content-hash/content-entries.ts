import { readdirSync, rmSync, statSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { type Digest, digestHex, isDigest } from '../base/digest.ts';
import type { ThreadPool } from '../base/threads/thread-pool.ts';
import type { CompareEntriesInput } from './compare-entries.task.ts';
import type { ContentChange } from './content-change.ts';
import type { KeepEntriesInput } from './keep-entries.task.ts';

const tasks = {
  keep: new URL('./keep-entries.task.ts', import.meta.url),
  compare: new URL('./compare-entries.task.ts', import.meta.url),
};

/** What is wanted of a comparison: the first changes, and how many there are. */
export interface ContentComparison {
  /** `part`: which of several combined checksums covers it. */
  readonly first: readonly (ContentChange & { readonly part: number })[];
  readonly total: number;
}

/** Remembers what content checksums cover, to tell later what changed. Losing some of it loses explanations only. */
export interface ContentEntries {
  /** `hashed`: the bytes of which `digest` is the digest. Returns at once. */
  keep(digest: Digest, hashed: Uint8Array): void;
  /** Undefined when one of the two is not known any more. */
  compare(before: Digest, after: Digest, signal?: AbortSignal): Promise<ContentComparison | undefined>;
}

export interface ContentEntriesOptions {
  readonly directory: string;
  readonly pool: ThreadPool;
  /** What may be kept, in bytes on disk. */
  readonly maxBytes?: number;
}

const defaultMaxBytes = 32 << 20;
const blockSize = 4096;
const suffix = '.zst';

export function entriesFile(digest: Digest): string {
  return digestHex(digest) + suffix;
}

/** Opens the store in `directory`: one compressed file each, named after its digest, the least recently used removed first. */
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
      const digest = `sha256:${name.slice(0, -suffix.length)}`;
      if (name.endsWith(suffix) && isDigest(digest)) {
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
