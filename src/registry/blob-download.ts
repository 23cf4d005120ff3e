import { abortError } from '../base/async/lifetime.ts';
import { KilnError } from '../base/errors.ts';
import type { BlobWriter } from '../content/content.ts';
import { isTransient } from '../http/network-failure.ts';
import { backOff, type RetryPolicy } from '../http/retry.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import { type ImageReference, repositoryName } from '../oci/reference.ts';
import type { Endpoint } from './host-config.ts';
import { networkError } from './network-error.ts';
import type { TransferContext } from './registry.ts';
import type { RegistryTransport } from './registry-transport.ts';
import { blobRequest } from './repository-requests.ts';

/** A blob on its way into a store. What came from one server need not come again from another. */
export class BlobDownload {
  readonly #transport: RegistryTransport;
  readonly #reference: ImageReference;
  readonly #descriptor: Descriptor;
  readonly #writer: BlobWriter;
  #received = 0;

  constructor(
    transport: RegistryTransport,
    blob: { readonly reference: ImageReference; readonly descriptor: Descriptor },
    writer: BlobWriter,
  ) {
    this.#transport = transport;
    this.#reference = blob.reference;
    this.#descriptor = blob.descriptor;
    this.#writer = writer;
  }

  /** Writes the rest of the blob. Attempts that brought bytes do not count as failed ones. */
  async receiveFrom(endpoint: Endpoint, retry: RetryPolicy, context: TransferContext): Promise<void> {
    for (let attempt = 1; this.#received < this.#descriptor.size; attempt++) {
      const before = this.#received;
      try {
        await this.#receiveOnce(endpoint, context);
      } catch (error) {
        if (context.signal.aborted) throw abortError(context.signal);
        if (this.#received > before) attempt = 1;
        if (attempt >= retry.attempts || !isTransient(error)) throw error;
        await backOff(retry, attempt, context.signal);
      }
    }
  }

  async #receiveOnce(endpoint: Endpoint, context: TransferContext): Promise<void> {
    const { digest, size } = this.#descriptor;
    const repository = repositoryName(this.#reference);
    const { signal, onProgress } = context;
    const request = blobRequest(this.#reference, endpoint, digest, this.#received);
    const answer = await this.#transport.expect(endpoint, request, context, [200, 206]);
    // A server that ignores the range starts again from the first byte.
    let skip = answer.status === 206 ? 0 : this.#received;
    const chunks = answer.body[Symbol.asyncIterator]() as AsyncIterator<Uint8Array>;
    try {
      while (true) {
        const next = await chunks.next().catch((error: unknown) => {
          throw signal.aborted ? abortError(signal) : networkError(error, repository, endpoint.host);
        });
        if (next.done) break;
        const chunk = next.value.subarray(Math.min(skip, next.value.length));
        skip -= next.value.length - chunk.length;
        if (chunk.length === 0) continue;
        if (this.#received + chunk.length > size) {
          throw new KilnError(
            'data_loss',
            `${repository}: ${endpoint.host} sent more than the ${size} bytes of blob ${digest}`,
          );
        }
        await this.#writer.write(chunk);
        this.#received += chunk.length;
        onProgress?.(this.#received);
      }
    } finally {
      answer.body.destroy();
    }
    if (this.#received < size) {
      throw new KilnError(
        'unavailable',
        `${repository}: ${endpoint.host} ended blob ${digest} after ${this.#received} of ${size} bytes`,
      );
    }
  }
}
