import type { Digest } from '../base/digest.ts';

export interface BlobInfo {
  readonly digest: Digest;
  /** Bytes. */
  readonly size: number;
}

export interface BlobExpectation {
  readonly digest?: Digest;
  readonly size?: number;
}

export interface BlobReadOptions {
  /** Bytes; by default 0. */
  readonly offset?: number;
  /** Bytes; by default all that follow. */
  readonly length?: number;
  /**
   * A chunk of a mebibyte or more may be overwritten as soon as the next one is asked for. Large blobs leave no garbage this way; no other
   * chunk is overwritten.
   */
  readonly lent?: boolean;
}

/** Bytes. Who names a layer where a config belongs must not fill the memory with it. */
export const mostInMemory = 64 * 1024 * 1024;

/** Immutable blobs, named by their digest. A blob is either whole or absent. */
export interface BlobReader {
  /** Returns undefined when there is no such blob. */
  stat(digest: Digest): Promise<BlobInfo | undefined>;
  /** Throws `not_found`. */
  read(digest: Digest, options?: BlobReadOptions): AsyncIterable<Uint8Array>;
  /** Returns the whole blob in memory, for manifests and configs. Throws `not_found`, and `out_of_range` for more than `mostInMemory` bytes. */
  readAll(digest: Digest): Promise<Uint8Array>;
  list(): AsyncIterable<BlobInfo>;
}

/** Writers fill a temporary file of their own, which gets the blob's name only when its digest (and size, if given) is right. */
export interface ContentStore extends BlobReader {
  /** Returns a file that holds exactly the blob, for threads that read it themselves, or undefined when the store has no files. */
  localPath(digest: Digest): string | undefined;
  writer(expected?: BlobExpectation): Promise<BlobWriter>;
  /** Takes over a finished file in `temporaryDirectory`, made by a thread that hashed it while writing. Its digest is not checked. */
  adopt(path: string, info: BlobInfo): Promise<void>;
  readonly temporaryDirectory: string;
  delete(digest: Digest): Promise<void>;
}

/** A blob that is being written. Disposed without a commit, it leaves nothing behind. */
export interface BlobWriter extends AsyncDisposable {
  write(chunk: Uint8Array): Promise<void>;
  /** Throws `data_loss` when digest or size are not as expected. Committing a blob that exists is no error. */
  commit(): Promise<BlobInfo>;
}

export async function writeBlob(
  store: ContentStore,
  data: Uint8Array,
  expected?: BlobExpectation,
): Promise<BlobInfo> {
  await using writer = await store.writer(expected);
  await writer.write(data);
  return await writer.commit();
}
