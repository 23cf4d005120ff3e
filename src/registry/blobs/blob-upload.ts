import { throwIfAborted } from '../../base/async/lifetime.ts';
import { asKilnError, KilnError } from '../../base/errors.ts';
import { codeOfStatus } from '../../http/code-of-status.ts';
import { locationOf } from '../../http/follow-redirects.ts';
import { isTransient } from '../../http/network-failure.ts';
import { discard } from '../../http/read-body.ts';
import { backOff, type RetryPolicy, withRetry } from '../../http/retry.ts';
import type { Descriptor } from '../../oci/descriptor.ts';
import { type ImageReference, repositoryName } from '../../oci/reference.ts';
import type { Endpoint } from '../host-config.ts';
import type { BlobBody, PushOutcome, TransferContext } from '../registry.ts';
import type { RegistryAnswer, RegistryRequest, RegistryTransport } from '../registry-transport.ts';
import { blobExistsRequest, sessionRequest, uploadRequest } from '../repository-requests.ts';
import { ChunkReader } from './chunk-reader.ts';

/** Milliseconds: a registry may move a large upload to its storage before it answers. */
const commitTimeout = 10 * 60_000;
/** Bytes. A chunk is in memory, so that it can be sent again. */
const chunkSizes = { smallest: 1024 * 1024, first: 8 * 1024 * 1024, largest: 64 * 1024 * 1024 } as const;
/** Bytes that must have been sent when a connection breaks, for the next attempt to send chunks, which need not be repeated. */
const worthKeeping = 16 * 1024 * 1024;
/** Repositories that are asked for a blob before it is uploaded. */
const mostMounts = 3;

export interface UploadedBlob {
  readonly reference: ImageReference;
  readonly descriptor: Descriptor;
  readonly body: BlobBody;
  /** Repositories of the same server that may have the blob. */
  readonly mountFrom: readonly string[];
}

/**
 * Makes a repository have a blob: it may be there already, be mounted from another repository, or is uploaded: in one request, or, where the
 * server refuses that or the connection broke in the middle of much, in chunks. An attempt after one that broke goes on from the last chunk.
 */
export class BlobUpload {
  readonly #blob: UploadedBlob;
  readonly #endpoint: Endpoint;
  readonly #transport: RegistryTransport;
  readonly #retry: RetryPolicy;
  readonly #context: TransferContext;
  #inChunks = false;
  #chunkSize: number = chunkSizes.first;
  /** Where an upload in chunks goes on. */
  #session: { readonly target: URL; readonly offset: number } | undefined;

  constructor(
    blob: UploadedBlob,
    endpoint: Endpoint,
    transport: RegistryTransport,
    retry: RetryPolicy,
    context: TransferContext,
  ) {
    this.#blob = blob;
    this.#endpoint = endpoint;
    this.#transport = transport;
    this.#retry = retry;
    this.#context = context;
  }

  /** What is small is tried again by itself. If the bytes do not get through, the server is asked again whether it has the blob. */
  async run(): Promise<PushOutcome> {
    const { signal } = this.#context;
    let furthest = 0;
    for (let attempt = 1; ; attempt++) {
      if (await this.#exists()) return 'exists';
      const begun = (await this.#resumed()) ?? (await this.#begin());
      if (begun === 'mounted') return begun;
      try {
        await (this.#inChunks ? this.#sendChunks(begun) : this.#sendWhole(begun));
        return 'uploaded';
      } catch (error) {
        throwIfAborted(signal);
        const reached = this.#session?.offset ?? 0;
        if (reached > furthest) attempt = 1;
        furthest = Math.max(furthest, reached);
        if (attempt >= this.#retry.attempts || !isTransient(error)) throw error;
        await backOff(this.#retry, attempt, error, signal);
      }
    }
  }

  async #exists(): Promise<boolean> {
    const { reference, descriptor } = this.#blob;
    const answer = await this.#send(blobExistsRequest(reference, this.#endpoint, descriptor.digest));
    await discard(answer.body);
    return answer.status === 200;
  }

  /** Mounts the blob, or begins an upload and returns where to send it. */
  async #begin(): Promise<'mounted' | { readonly target: URL; readonly offset: number }> {
    const { reference, mountFrom, descriptor } = this.#blob;
    const { digest } = descriptor;
    let begun: RegistryAnswer | undefined;
    for (const from of mountFrom.slice(0, mostMounts)) {
      const answer = await this.#mount(digest, from);
      if (answer?.status === 201) return 'mounted';
      if (answer?.status === 202) begun = answer;
    }
    if (!begun) {
      const request = uploadRequest(reference, this.#endpoint);
      begun = await this.#send(request);
      await this.#accept(request, begun, [202]);
    }
    const smallest = Number(begun.headers['oci-chunk-min-length'] ?? 0);
    if (smallest > 0 && smallest <= chunkSizes.largest && smallest <= descriptor.size) {
      this.#chunkSize = Math.max(smallest, this.#chunkSize);
    }
    return { target: this.#location(begun), offset: 0 };
  }

  /** The other repository may be closed to this client, or not exist: an upload is as good. */
  async #mount(digest: string, from: string): Promise<RegistryAnswer | undefined> {
    try {
      const request = uploadRequest(this.#blob.reference, this.#endpoint, { digest, from });
      const answer = await this.#send(request);
      await discard(answer.body);
      return answer;
    } catch (error) {
      throwIfAborted(this.#context.signal);
      const { code } = asKilnError(error);
      if (code === 'unauthenticated' || code === 'permission_denied') return undefined;
      throw error;
    }
  }

  async #sendWhole({ target }: { readonly target: URL }): Promise<void> {
    const { descriptor, body } = this.#blob;
    const { signal, onProgress } = this.#context;
    let sent = 0;
    const count = (bytes: number) => {
      sent = bytes;
      onProgress?.(bytes);
    };
    const request = this.#sessionRequest({
      method: 'PUT',
      target: this.#committing(target),
      size: descriptor.size,
      body: async () =>
        descriptor.size === 0 ? new Uint8Array() : counted(await body.open(signal, { lent: true }), count),
      answerTimeout: commitTimeout,
    });
    try {
      const answer = await this.#sendOnce(request);
      if (isTooLarge(answer.status) && descriptor.size > chunkSizes.smallest) {
        await discard(answer.body);
        this.#inChunks = true;
        const begun = await this.#begin();
        if (begun !== 'mounted') await this.#sendChunks(begun);
        return;
      }
      await this.#accept(request, answer, [200, 201, 202, 204]);
    } catch (error) {
      if (sent >= worthKeeping) this.#inChunks = true;
      throw error;
    }
  }

  async #sendChunks(begun: { readonly target: URL; readonly offset: number }): Promise<void> {
    const { descriptor, body } = this.#blob;
    const { signal, onProgress } = this.#context;
    this.#session = begun;
    await using reader = new ChunkReader(await body.open(signal, { lent: true }), begun.offset);
    while (this.#session.offset < descriptor.size) {
      const { target, offset } = this.#session;
      const chunk = await reader.next(Math.min(this.#chunkSize, descriptor.size - offset));
      const next = await this.#sendChunk(target, offset, chunk);
      this.#session = next;
      onProgress?.(next.offset);
    }
    const { target } = this.#session;
    this.#session = undefined;
    const end = this.#sessionRequest({
      method: 'PUT',
      target: this.#committing(target),
      size: 0,
      body: async () => new Uint8Array(),
      answerTimeout: commitTimeout,
    });
    await this.#accept(end, await this.#sendOnce(end), [200, 201, 202, 204]);
  }

  /** Sends a chunk, in smaller ones if the server wants that, and returns where the next one goes. */
  async #sendChunk(
    target: URL,
    offset: number,
    chunk: Uint8Array,
  ): Promise<{ readonly target: URL; readonly offset: number }> {
    const request = this.#sessionRequest({
      method: 'PATCH',
      target,
      size: chunk.length,
      from: offset,
      body: async () => chunk,
      answerTimeout: commitTimeout,
    });
    const answer = await this.#sendOnce(request);
    if (isTooLarge(answer.status) && chunk.length > chunkSizes.smallest) {
      await discard(answer.body);
      const half = Math.ceil(chunk.length / 2);
      this.#chunkSize = half;
      const next = await this.#sendChunk(target, offset, chunk.subarray(0, half));
      return await this.#sendChunk(next.target, next.offset, chunk.subarray(half));
    }
    await this.#accept(request, answer, [200, 201, 202, 204]);
    return { target: this.#location(answer), offset: offset + chunk.length };
  }

  /** Asks how far an upload came that broke; undefined when it cannot go on. */
  async #resumed(): Promise<{ readonly target: URL; readonly offset: number } | undefined> {
    const session = this.#session;
    this.#session = undefined;
    if (!session || session.offset === 0) return undefined;
    const answer = await this.#send(this.#sessionRequest({ method: 'GET', target: session.target }));
    await discard(answer.body);
    const last = /^(?:bytes=)?0-(\d+)$/.exec(answer.headers.range ?? '')?.[1];
    if ((answer.status !== 204 && answer.status !== 200) || last === undefined) return undefined;
    const offset = Number(last) + 1;
    if (offset > this.#blob.descriptor.size) return undefined;
    const { location } = answer.headers;
    return { target: location === undefined ? session.target : this.#location(answer), offset };
  }

  #location(answer: RegistryAnswer): URL {
    const { location } = answer.headers;
    if (location !== undefined) return locationOf(answer.url, location, 'sends an upload');
    throw new KilnError(
      'failed_precondition',
      `${repositoryName(this.#blob.reference)}: ${this.#endpoint.host} accepted an upload but did not say where to send it`,
    );
  }

  #committing(target: URL): URL {
    const url = new URL(target);
    url.searchParams.set('digest', this.#blob.descriptor.digest);
    return url;
  }

  #sessionRequest(request: Parameters<typeof sessionRequest>[2]): RegistryRequest {
    return sessionRequest(this.#blob.reference, this.#endpoint, request);
  }

  /** Returns the answer, unless that is one that may be another a moment later, of all attempts. */
  #send(request: RegistryRequest): Promise<RegistryAnswer> {
    return withRetry(this.#retry, this.#context.signal, isTransient, () => this.#sendOnce(request));
  }

  async #sendOnce(request: RegistryRequest): Promise<RegistryAnswer> {
    const answer = await this.#transport.send(this.#endpoint, request, this.#context);
    if (codeOfStatus(answer.status) !== 'unavailable') return answer;
    throw await this.#transport.refusal(this.#endpoint, request, answer);
  }

  async #accept(
    request: RegistryRequest,
    answer: RegistryAnswer,
    accepted: readonly number[],
  ): Promise<void> {
    if (!accepted.includes(answer.status))
      throw await this.#transport.refusal(this.#endpoint, request, answer);
    await discard(answer.body);
  }
}

/** Proxies in front of registries, and some registries, limit what one request may bring. */
function isTooLarge(status: number): boolean {
  return status === 413;
}

async function* counted(
  chunks: AsyncIterable<Uint8Array>,
  count: (bytes: number) => void,
): AsyncIterable<Uint8Array> {
  let sent = 0;
  for await (const chunk of chunks) {
    yield chunk;
    sent += chunk.length;
    count(sent);
  }
}
