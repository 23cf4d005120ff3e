import { createHash } from 'node:crypto';

/**
 * A version of the service that keeps the caches of GitHub Actions. A key is written once. What is written under it can be found by whatever
 * the key begins with; nobody can change or remove it.
 */
export interface ActionsCacheService {
  /** The newest entry, in the first scope that has one, whose key begins with `prefix`. */
  find(prefix: string, signal: AbortSignal): Promise<ActionsCacheEntry | undefined>;
  /** Returns where the data goes, or undefined when the key is somebody else's. Nobody finds it before it is finished. */
  reserve(key: string, signal: AbortSignal): Promise<ReservedEntry | undefined>;
}

export interface ActionsCacheEntry {
  readonly key: string;
  /** Signed: who has it can read the data, for a while. */
  readonly url: URL;
}

export interface ReservedEntry {
  /** Stores all of the data. The chunks are as large as `chunkSize`, but for the last one. */
  upload(chunks: AsyncIterable<Buffer>, signal: AbortSignal): Promise<void>;
  /** `size`: bytes. */
  finish(size: number, signal: AbortSignal): Promise<void>;
}

/** Bytes that are sent at a time. */
export const chunkSize = 8 * 1024 * 1024;

/** What divides this kind of entries from others in the service; BuildKit's. */
export const entryVersion = createHash('sha256').update('|go-actionscache-1.0').digest('hex');
