import { abortError } from '../../base/async/lifetime.ts';
import { asKilnError, KilnError } from '../../base/errors.ts';
import type { BlobWriter, ContentStore } from '../../content/content.ts';
import type { HttpAnswer } from '../../http/http-client.ts';
import { isTransient } from '../../http/network-failure.ts';
import { readBody } from '../../http/read-body.ts';
import { backOff, type RetryPolicy, worthwhileProgress } from '../../http/retry.ts';
import type { Descriptor } from '../../oci/descriptor.ts';
import { networkError } from '../network-error.ts';
import { answeredOffset, type ByteRange } from './byte-range.ts';
import { type RangeReader, readInParts } from './parallel-ranges.ts';
import { SpeedWatch } from './speed-watch.ts';

/** A server that may have the blob. */
export interface BlobServer {
  /** For messages. */
  readonly host: string;
  /** Answers with status 200 or 206. Throws what the server says otherwise. */
  open(range: ByteRange, signal: AbortSignal): Promise<HttpAnswer>;
}

export interface DownloadOptions {
  readonly signal: AbortSignal;
  /** Gets the number of bytes so far. */
  readonly onProgress?: (bytes: number) => void;
  /** A permit to read one more part of the blob at the same time; undefined when there is none. */
  readonly permit: () => Disposable | undefined;
}

/** A blob on its way into a store. What came from one server need not come again from another, unless it was wrong. */
export class BlobDownload implements AsyncDisposable {
  readonly #descriptor: Descriptor;
  readonly #store: ContentStore;
  /** `domain/path`, for messages. */
  readonly #repository: string;
  readonly #options: DownloadOptions;
  #writer: BlobWriter | undefined;
  #received = 0;
  /** Who sent what has come. */
  readonly #senders = new Set<BlobServer>();
  /** Several streams were found to be no faster. */
  #singleIsBest = false;

  constructor(
    blob: { readonly repository: string; readonly descriptor: Descriptor },
    store: ContentStore,
    options: DownloadOptions,
  ) {
    this.#repository = blob.repository;
    this.#descriptor = blob.descriptor;
    this.#store = store;
    this.#options = options;
  }

  /**
   * Brings the rest of the blob, checks it, and puts it into the store. Attempts that brought much do not count as failed ones. Throws
   * `data_loss` when the server's bytes are not those of the digest; another server is then asked for all of them.
   */
  async complete(server: BlobServer, retry: RetryPolicy): Promise<void> {
    await this.#receiveAll(server, retry);
    if (await this.#commit()) return;
    const mixed = this.#senders.size > 1;
    await this.#restart();
    if (mixed) {
      // It may be the other server whose bytes were wrong.
      await this.#receiveAll(server, retry);
      if (await this.#commit()) return;
      await this.#restart();
    }
    throw this.#lost(server, 'sent bytes that have another digest');
  }

  async #receiveAll(server: BlobServer, retry: RetryPolicy): Promise<void> {
    const { signal } = this.#options;
    for (let attempt = 1; this.#received < this.#descriptor.size; attempt++) {
      const before = this.#received;
      try {
        await this.#receiveOnce(server);
      } catch (error) {
        if (signal.aborted) throw abortError(signal);
        if (this.#received - before >= worthwhileProgress(this.#descriptor.size)) attempt = 1;
        if (attempt >= retry.attempts || !isTransient(error)) throw error;
        await backOff(retry, attempt, error, signal);
      }
    }
  }

  async #receiveOnce(server: BlobServer): Promise<void> {
    const { size } = this.#descriptor;
    const watch = new SpeedWatch(size - this.#received);
    const rangesHelp = await this.#receiveStream(server, watch);
    if (rangesHelp) await this.#receiveParts(server, watch.rate());
    if (this.#received < size) {
      const { digest } = this.#descriptor;
      throw new KilnError(
        'unavailable',
        `${this.#repository}: ${server.host} ended blob ${digest} after ${this.#received} of ${size} bytes`,
      );
    }
  }

  /** Reads one answer to its end. Returns true, and ends early, when several at a time may be faster. */
  async #receiveStream(server: BlobServer, watch: SpeedWatch): Promise<boolean> {
    const range = { offset: this.#received };
    const answer = await this.#answer(server, range, this.#options.signal);
    // A server that ignores the range starts again from the first byte.
    let skip = this.#received - this.#offsetOf(answer, range, server);
    const ranged = answer.status === 206 || answer.headers['accept-ranges'] === 'bytes';
    const chunks = answer.body[Symbol.asyncIterator]() as AsyncIterator<Uint8Array>;
    try {
      for (;;) {
        const next = await chunks.next().catch((error: unknown) => {
          throw this.#broken(error, server, this.#options.signal);
        });
        if (next.done) return false;
        const chunk = next.value.subarray(Math.min(skip, next.value.length));
        skip -= next.value.length - chunk.length;
        if (chunk.length === 0) continue;
        await this.#take(chunk, server);
        watch.add(chunk.length);
        if (ranged && !this.#singleIsBest && watch.isSlow()) return true;
      }
    } finally {
      answer.body.destroy();
    }
  }

  /** Reads the rest in parts, several at a time; ends early when that is no faster than `single`, the bytes a millisecond of one stream. */
  async #receiveParts(server: BlobServer, single: number): Promise<void> {
    const reader: RangeReader = {
      atOnce: 4,
      permit: this.#options.permit,
      read: async (range, signal) => {
        const answer = await this.#answer(server, range, signal);
        try {
          if (answer.status !== 206) throw this.#lost(server, 'answers a question for a part with all of it');
          this.#offsetOf(answer, range, server);
          const bytes = await readBody(answer.body, range.length).catch((error: unknown) => {
            throw error instanceof KilnError
              ? error.wrap(this.#named(server))
              : this.#broken(error, server, signal);
          });
          if (bytes.length === range.length) return bytes;
        } finally {
          answer.body.destroy();
        }
        throw new KilnError('unavailable', `${this.#repository}: ${server.host} ended a part early`);
      },
    };
    const { size } = this.#descriptor;
    const watch = new SpeedWatch(size - this.#received);
    for await (const part of readInParts(reader, { from: this.#received, end: size }, this.#options.signal)) {
      await this.#take(part, server);
      watch.add(part.length);
      if (!watch.isMeasured() || watch.rate() > single * 1.2) continue;
      this.#singleIsBest = true;
      await this.#receiveStream(server, watch);
      return;
    }
  }

  async #take(chunk: Uint8Array, server: BlobServer): Promise<void> {
    if (this.#received + chunk.length > this.#descriptor.size) {
      throw this.#lost(server, `sent more than the ${this.#descriptor.size} bytes it has`);
    }
    await (await this.#open()).write(chunk);
    this.#senders.add(server);
    this.#received += chunk.length;
    this.#options.onProgress?.(this.#received);
  }

  async #answer(server: BlobServer, range: ByteRange, signal: AbortSignal): Promise<HttpAnswer> {
    const answer = await server.open(range, signal);
    if (answer.headers['content-encoding'] === undefined) return answer;
    answer.body.destroy();
    throw this.#lost(server, 'was sent encoded, which nobody asked for');
  }

  #offsetOf(answer: HttpAnswer, range: ByteRange, server: BlobServer): number {
    try {
      return answeredOffset(answer, range, this.#descriptor.size, this.#named(server));
    } catch (error) {
      answer.body.destroy();
      throw error;
    }
  }

  #broken(error: unknown, { host }: BlobServer, signal: AbortSignal): KilnError {
    return signal.aborted ? abortError(signal) : networkError(error, this.#repository, host);
  }

  #lost(server: BlobServer, what: string): KilnError {
    return new KilnError('data_loss', `${this.#named(server)} ${what}`);
  }

  #named({ host }: BlobServer): string {
    return `${this.#repository}: blob ${this.#descriptor.digest} from ${host}`;
  }

  async #open(): Promise<BlobWriter> {
    const { digest, size } = this.#descriptor;
    this.#writer ??= await this.#store.writer({ digest, size });
    return this.#writer;
  }

  /** Returns false when the bytes are wrong. */
  async #commit(): Promise<boolean> {
    try {
      await (await this.#open()).commit();
      return true;
    } catch (error) {
      if (asKilnError(error).code === 'data_loss') return false;
      throw error;
    }
  }

  /** Forgets what came. */
  async #restart(): Promise<void> {
    await this.#writer?.[Symbol.asyncDispose]();
    this.#writer = undefined;
    this.#received = 0;
    this.#senders.clear();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#writer?.[Symbol.asyncDispose]();
  }
}
