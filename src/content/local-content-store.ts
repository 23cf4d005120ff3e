import { constants, createReadStream } from 'node:fs';
import { type FileHandle, mkdir, open, opendir, readdir, rename, rm, stat, unlink } from 'node:fs/promises';
import { join, resolve, sep } from 'node:path';
import { type Digest, Digester, digestHex, isDigest } from '../base/digest.ts';
import { asKilnError, errnoOf, KilnError } from '../base/errors.ts';
import {
  type BlobExpectation,
  type BlobInfo,
  type BlobReadOptions,
  type BlobWriter,
  type ContentStore,
  mostInMemory,
} from './content.ts';

/** Bytes that are hashed or read in one turn of the event loop: sha256 takes less than a millisecond for them. */
const chunkSize = 1 << 20;
/** Bytes that are written at a time. */
const bufferSize = 1 << 19;
/** Milliseconds by which the times of files may differ from the clock. */
const clockSlack = 60_000;

export interface LocalContentStoreOptions {
  /**
   * Milliseconds since 1970. Blobs written since then may not be whole, as after a crash of the machine: the store reads
   * them when it opens, and removes those whose bytes do not have the digest.
   */
  readonly doubtfulSince?: number;
}

/**
 * A content store in a directory of one daemon:
 *
 *     <root>/blobs/sha256/<hex>    whole blobs, as in an OCI layout
 *     <root>/ingest/               temporary files; what a crash left there is removed when the store opens
 */
export async function openLocalContentStore(
  root: string,
  options: LocalContentStoreOptions = {},
): Promise<ContentStore> {
  const blobs = join(resolve(root), 'blobs', 'sha256');
  const ingest = join(resolve(root), 'ingest');
  await rm(ingest, { recursive: true, force: true });
  await mkdir(ingest, { recursive: true, mode: 0o700 });
  await mkdir(blobs, { recursive: true, mode: 0o700 });
  if (options.doubtfulSince !== undefined) await removeBroken(blobs, options.doubtfulSince);
  return new LocalContentStore(blobs, ingest);
}

async function removeBroken(blobs: string, since: number): Promise<void> {
  for await (const { name } of await opendir(blobs)) {
    const file = join(blobs, name);
    if ((await stat(file)).mtimeMs < since - clockSlack) continue;
    const digester = new Digester();
    for await (const chunk of createReadStream(file, { highWaterMark: chunkSize })) digester.update(chunk);
    if (digester.digest() !== `sha256:${name}`) await rm(file);
  }
}

class LocalContentStore implements ContentStore {
  readonly #blobs: string;
  readonly temporaryDirectory: string;
  /** Sizes of blobs that were asked for. Nobody else changes the directory, so listing need not ask the disk again. */
  readonly #sizes = new Map<Digest, number>();
  #nextTemporary = 0;

  constructor(blobs: string, ingest: string) {
    this.#blobs = blobs;
    this.temporaryDirectory = ingest;
  }

  localPath(digest: Digest): string {
    return join(this.#blobs, digestHex(digest));
  }

  async stat(digest: Digest): Promise<BlobInfo | undefined> {
    try {
      const { size } = await stat(this.localPath(digest));
      this.#sizes.set(digest, size);
      return { digest, size };
    } catch (error) {
      if (errnoOf(error) === 'ENOENT') return undefined;
      throw asKilnError(error);
    }
  }

  async *read(
    digest: Digest,
    { offset = 0, length, lent = false }: BlobReadOptions = {},
  ): AsyncIterable<Uint8Array> {
    await using file = await this.#open(digest);
    const end = length === undefined ? Number.POSITIVE_INFINITY : offset + length;
    let free: Buffer | undefined;
    for (let at = offset; at < end; ) {
      const size = Math.min(chunkSize, end - at);
      const buffer = free ?? Buffer.allocUnsafe(size);
      const { bytesRead } = await file.read(buffer, 0, size, at);
      if (bytesRead === 0) return;
      at += bytesRead;
      yield buffer.subarray(0, bytesRead);
      free = lent && bytesRead === chunkSize ? buffer : undefined;
    }
  }

  async readAll(digest: Digest): Promise<Uint8Array> {
    await using file = await this.#open(digest);
    const { size } = await file.stat();
    if (size > mostInMemory)
      throw new KilnError('out_of_range', `blob ${digest} is too large to be a document (${size} bytes)`);
    return await file.readFile();
  }

  async writer(expected: BlobExpectation = {}): Promise<BlobWriter> {
    const path = join(this.temporaryDirectory, `write-${this.#nextTemporary++}`);
    const file = await open(path, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL, 0o600).catch(
      (error) => Promise.reject(asKilnError(error)),
    );
    return new LocalBlobWriter(file, path, expected, (info) => this.#place(path, info));
  }

  async adopt(path: string, info: BlobInfo): Promise<void> {
    if (!resolve(path).startsWith(this.temporaryDirectory + sep)) {
      throw new KilnError(
        'invalid_argument',
        `cannot adopt ${path}: it is not in the store's temporary directory ${this.temporaryDirectory}`,
      );
    }
    await using file = await open(path, 'r').catch((error) => Promise.reject(asKilnError(error)));
    const { size } = await file.stat();
    if (size !== info.size) throw wrongSize(info.digest, info.size, size);
    await this.#place(path, info);
  }

  async delete(digest: Digest): Promise<void> {
    await rm(this.localPath(digest), { force: true });
    this.#sizes.delete(digest);
  }

  async *list(): AsyncIterable<BlobInfo> {
    for (const name of await readdir(this.#blobs)) {
      const digest = `sha256:${name}`;
      if (!isDigest(digest)) continue;
      const known = this.#sizes.get(digest);
      const info = known === undefined ? await this.stat(digest) : { digest, size: known };
      if (info) yield info;
    }
  }

  async #place(path: string, info: BlobInfo): Promise<void> {
    try {
      if (await this.stat(info.digest)) {
        await unlink(path);
        return;
      }
      await rename(path, this.localPath(info.digest));
    } catch (error) {
      throw asKilnError(error);
    }
  }

  async #open(digest: Digest): Promise<FileHandle> {
    try {
      return await open(this.localPath(digest), 'r');
    } catch (error) {
      throw missing(digest, error);
    }
  }
}

class LocalBlobWriter implements BlobWriter {
  readonly #file: FileHandle;
  readonly #path: string;
  readonly #expected: BlobExpectation;
  readonly #place: (info: BlobInfo) => Promise<void>;
  readonly #digester = new Digester();
  #size = 0;
  /** What has not been written yet: many small writes cost more than copying. */
  #buffer: Buffer | undefined;
  #filled = 0;
  /** The buffer that was written last. */
  #spare: Buffer | undefined;
  #writing: Promise<void> = Promise.resolve();
  #state: 'open' | 'committed' | 'disposed' = 'open';

  constructor(
    file: FileHandle,
    path: string,
    expected: BlobExpectation,
    place: (info: BlobInfo) => Promise<void>,
  ) {
    this.#file = file;
    this.#path = path;
    this.#expected = expected;
    this.#place = place;
  }

  async write(chunk: Uint8Array): Promise<void> {
    this.#assertOpen();
    this.#size += chunk.length;
    if (this.#expected.size !== undefined && this.#size > this.#expected.size) {
      throw wrongSize(this.#expected.digest, this.#expected.size, this.#size);
    }
    for (let at = 0; at < chunk.length; ) {
      this.#buffer ??= Buffer.allocUnsafeSlow(Math.min(this.#expected.size ?? bufferSize, bufferSize));
      const part = chunk.subarray(at, at + this.#buffer.length - this.#filled);
      this.#digester.update(part);
      this.#buffer.set(part, this.#filled);
      this.#filled += part.length;
      at += part.length;
      if (this.#filled === this.#buffer.length) await this.#flush();
    }
  }

  /** Begins to write what is in the buffer, once what came before has been written. */
  async #flush(): Promise<void> {
    const full = this.#buffer?.subarray(0, this.#filled);
    this.#buffer = this.#spare;
    this.#spare = undefined;
    this.#filled = 0;
    await this.#writing;
    if (!full) return;
    this.#writing = this.#put(full);
    // Whoever writes next, or commits, gets the failure.
    this.#writing.catch(() => {});
  }

  async #put(bytes: Buffer): Promise<void> {
    for (let done = 0; done < bytes.length; ) {
      const { bytesWritten } = await this.#file
        .write(bytes, done)
        .catch((error) => Promise.reject(asKilnError(error)));
      done += bytesWritten;
    }
    if (bytes.length === bufferSize) this.#spare = bytes;
  }

  async commit(): Promise<BlobInfo> {
    this.#assertOpen();
    await this.#flush();
    await this.#writing;
    const info: BlobInfo = { digest: this.#digester.digest(), size: this.#size };
    const { digest, size } = this.#expected;
    if (size !== undefined && size !== info.size) throw wrongSize(digest, size, info.size);
    if (digest !== undefined && digest !== info.digest) {
      throw new KilnError('data_loss', `blob has digest ${info.digest}, expected ${digest}`);
    }
    await this.#place(info);
    this.#state = 'committed';
    await this.#file.close();
    return info;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#state !== 'open') return;
    this.#state = 'disposed';
    await this.#writing.catch(() => {});
    await this.#file.close();
    await rm(this.#path, { force: true });
  }

  #assertOpen(): void {
    if (this.#state !== 'open') {
      throw new KilnError('failed_precondition', `this blob writer is ${this.#state} already`);
    }
  }
}

function missing(digest: Digest, error: unknown): KilnError {
  if (errnoOf(error) !== 'ENOENT') return asKilnError(error);
  return new KilnError('not_found', `blob ${digest} is not in the content store`, { cause: error });
}

function wrongSize(digest: Digest | undefined, expected: number, actual: number): KilnError {
  return new KilnError(
    'data_loss',
    `blob${digest ? ` ${digest}` : ''} has ${actual} bytes or more, expected ${expected}`,
  );
}
