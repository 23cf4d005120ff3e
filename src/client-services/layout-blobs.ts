import { randomBytes } from 'node:crypto';
import { type FileHandle, mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import { type Digest, Digester, digestHex, isDigest } from '../base/digest.ts';
import { errnoOf, KilnError } from '../base/errors.ts';

export interface LayoutBlob {
  readonly digest: Digest;
  /** Bytes. */
  readonly size: number;
  readonly modifiedAt: Date;
}

/** The blobs of an OCI image layout directory (`blobs/sha256/<hex>`), read and added to. */
export class LayoutBlobs {
  readonly #dir: string;

  /** The directory is made when the first blob is written. */
  constructor(layout: string) {
    this.#dir = path.join(layout, 'blobs', 'sha256');
  }

  async stat(digest: Digest): Promise<LayoutBlob | undefined> {
    try {
      const info = await stat(this.#path(digest));
      return { digest, size: info.size, modifiedAt: info.mtime };
    } catch (error) {
      if (errnoOf(error) === 'ENOENT' || errnoOf(error) === 'ENOTDIR') return undefined;
      throw error;
    }
  }

  async *list(): AsyncGenerator<LayoutBlob> {
    const names = await readdir(this.#dir).catch((error) => {
      if (errnoOf(error) === 'ENOENT') return [];
      throw error;
    });
    for (const name of names) {
      const digest = `sha256:${name}`;
      const blob = isDigest(digest) ? await this.stat(digest) : undefined;
      if (blob) yield blob;
    }
  }

  /** Throws `not_found`. */
  async open(digest: Digest): Promise<FileHandle> {
    try {
      return await open(this.#path(digest), 'r');
    } catch (error) {
      if (errnoOf(error) !== 'ENOENT' && errnoOf(error) !== 'ENOTDIR') throw error;
      throw new KilnError('not_found', `the layout has no blob ${digest}`);
    }
  }

  async remove(digest: Digest): Promise<void> {
    await rm(this.#path(digest), { force: true });
  }

  async writer(): Promise<LayoutBlobWriter> {
    await mkdir(this.#dir, { recursive: true });
    const temporary = path.join(this.#dir, `.incoming-${randomBytes(8).toString('hex')}`);
    return new LayoutBlobWriter(temporary, await open(temporary, 'wx', 0o644), (digest) =>
      this.#path(digest),
    );
  }

  #path(digest: Digest): string {
    return path.join(this.#dir, digestHex(digest));
  }
}

/** A blob that appears whole or not at all: disposing an uncommitted one leaves nothing. */
export class LayoutBlobWriter implements AsyncDisposable {
  readonly #temporary: string;
  readonly #file: FileHandle;
  readonly #pathOf: (digest: Digest) => string;
  readonly #digester = new Digester();
  #size = 0;
  #committed = false;

  constructor(temporary: string, file: FileHandle, pathOf: (digest: Digest) => string) {
    this.#temporary = temporary;
    this.#file = file;
    this.#pathOf = pathOf;
  }

  /** Bytes written. */
  get size(): number {
    return this.#size;
  }

  async write(data: Uint8Array): Promise<void> {
    this.#digester.update(data);
    await this.#file.appendFile(data);
    this.#size += data.length;
  }

  /** Throws `failed_precondition` when the bytes are not what is expected; zero and empty expect nothing. */
  async commit(expected: { readonly digest: string; readonly size: number }): Promise<Digest> {
    const digest = this.#digester.digest();
    if (expected.size > 0 && expected.size !== this.#size) {
      throw new KilnError('failed_precondition', `a blob of ${expected.size} bytes came as ${this.#size}`);
    }
    if (expected.digest !== '' && expected.digest !== digest) {
      throw new KilnError('failed_precondition', `blob ${expected.digest} came as ${digest}`);
    }
    await rename(this.#temporary, this.#pathOf(digest));
    this.#committed = true;
    return digest;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#file.close();
    if (!this.#committed) await rm(this.#temporary, { force: true });
  }
}
