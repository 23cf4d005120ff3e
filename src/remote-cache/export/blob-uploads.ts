import { Semaphore } from '../../base/async/lifetime.ts';
import type { Digest } from '../../base/digest.ts';

/** Sends a blob, until the signal aborts. */
export type SendBlob = (signal: AbortSignal) => Promise<void>;

/** Sends blobs while others are still made. Disposing it ends what is under way. */
export class BlobUploads implements AsyncDisposable {
  /** Aborts with the first failure, for which nothing else is worth doing. */
  readonly signal: AbortSignal;
  readonly #ended = new AbortController();
  readonly #places: Semaphore;
  readonly #uploads = new Map<Digest, Promise<void>>();
  #failure: { readonly error: unknown } | undefined;

  /** `atOnce`: how many blobs are sent at the same time. */
  constructor(atOnce: number, signal: AbortSignal) {
    this.#places = new Semaphore(atOnce);
    this.signal = AbortSignal.any([signal, this.#ended.signal]);
  }

  /** The first one; undefined while there is none. */
  get failure(): { readonly error: unknown } | undefined {
    return this.#failure;
  }

  /** A blob that was added before is not sent again. */
  add(digest: Digest, send: SendBlob): void {
    if (!this.#uploads.has(digest)) this.#uploads.set(digest, this.#upload(send));
  }

  /** Waits for all blobs. Throws the first failure. */
  async finish(): Promise<void> {
    await Promise.all(this.#uploads.values());
    if (this.#failure) throw this.#failure.error;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#ended.abort();
    await Promise.all(this.#uploads.values());
  }

  async #upload(send: SendBlob): Promise<void> {
    try {
      using _place = await this.#places.acquire(this.signal);
      await send(this.signal);
    } catch (error) {
      this.#failure ??= { error };
      this.#ended.abort(error);
    }
  }
}
