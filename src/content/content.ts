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

/**
 * Immutable blobs, named by their digest. A blob is either whole or absent: writers fill an exclusive
 * temporary file that is moved into place only when its digest (and size, if given) is right.
 */
export interface ContentStore {
  stat(digest: Digest): Promise<BlobInfo | undefined>;
  /** Throws `not_found`. `offset` and `length` in bytes. */
  read(
    digest: Digest,
    range?: { readonly offset?: number; readonly length?: number },
  ): AsyncIterable<Uint8Array>;
  /** The whole blob in memory, for manifests and configs. Throws `not_found`. */
  readAll(digest: Digest): Promise<Uint8Array>;
  /** A file that holds exactly the blob, where this store has one: for threads that read it themselves. */
  localPath(digest: Digest): string | undefined;
  writer(expected?: BlobExpectation): Promise<BlobWriter>;
  /** Takes over a finished temporary file made in `temporaryDirectory` (by a thread that hashed it while writing). */
  adopt(path: string, info: BlobInfo): Promise<void>;
  readonly temporaryDirectory: string;
  delete(digest: Digest): Promise<void>;
  list(): AsyncIterable<BlobInfo>;
}

/** Disposing a writer that was not committed leaves nothing behind. */
export interface BlobWriter extends AsyncDisposable {
  write(chunk: Uint8Array): Promise<void>;
  /** Throws `data_loss` when the bytes are not what was expected. Committing a blob that exists already is no error. */
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
