import { abortError, Semaphore } from '../base/async/lifetime.ts';
import { digestOf, isDigest } from '../base/digest.ts';
import { asKilnError, KilnError } from '../base/errors.ts';
import type { BlobWriter, ContentStore } from '../content/content.ts';
import { locationOf } from '../http/follow-redirects.ts';
import { isTransient } from '../http/network-failure.ts';
import { discard, readBody } from '../http/read-body.ts';
import { backOff, defaultRetry, type RetryPolicy, withRetry } from '../http/retry.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import { parseManifest } from '../oci/manifest.ts';
import { acceptedManifests } from '../oci/media-type.ts';
import { formatReference, type ImageReference, repositoryName } from '../oci/reference.ts';
import { type Endpoint, endpointsFor, type RegistryHosts } from './host-config.ts';
import { networkError } from './network-error.ts';
import type { BlobBody, PushOutcome, Registry, RegistryContext } from './registry.ts';
import { type RegistryAnswer, type RegistryRequest, RegistryTransport } from './transport.ts';

export interface HttpRegistryOptions {
  readonly hosts?: RegistryHosts;
  readonly retry?: RetryPolicy;
  /** Blob transfers at a time, for each host and direction. */
  readonly transfers?: number;
}

const defaultTransfers = 4;
/** Registries refuse larger manifests. */
const maxManifestSize = 8 * 1024 * 1024;
/** Milliseconds: a registry may move a large upload to its storage before it answers. */
const commitTimeout = 10 * 60_000;

export function createRegistry(options: HttpRegistryOptions = {}): Registry & AsyncDisposable {
  return new HttpRegistry(options);
}

class HttpRegistry implements Registry, AsyncDisposable {
  readonly #hosts: RegistryHosts;
  readonly #retry: RetryPolicy;
  readonly #transfers: number;
  readonly #slots = new Map<string, Semaphore>();
  readonly #transport = new RegistryTransport();

  constructor(options: HttpRegistryOptions) {
    this.#hosts = options.hosts ?? {};
    this.#retry = options.retry ?? defaultRetry;
    this.#transfers = options.transfers ?? defaultTransfers;
  }

  resolve(reference: ImageReference, context: RegistryContext): Promise<Descriptor> {
    return this.#read(reference, context, async (endpoint) => {
      const request = manifestRequest(reference, endpoint, reference.digest ?? reference.tag ?? 'latest');
      const head = await this.#transport.send(endpoint, { ...request, method: 'HEAD' }, context);
      await discard(head.body);
      const digest = head.headers['docker-content-digest'];
      const size = Number(head.headers['content-length']);
      const mediaType = mediaTypeOf(head);
      if (head.status === 200 && typeof digest === 'string' && isDigest(digest) && size > 0 && mediaType) {
        return checked(reference, { mediaType, digest, size });
      }
      // Not every registry answers HEAD in full, and its refusals have no words.
      const answer = await this.#transport.expect(endpoint, request, context, [200]);
      const bytes = await readManifest(answer, reference);
      const { mediaType: stated } = parseManifest(bytes, formatReference(reference), mediaTypeOf(answer));
      return checked(reference, { mediaType: stated, digest: digestOf(bytes), size: bytes.length });
    });
  }

  fetchManifest(
    reference: ImageReference,
    descriptor: Descriptor,
    context: RegistryContext,
  ): Promise<Uint8Array> {
    return this.#read(reference, context, async (endpoint) => {
      const request = manifestRequest(reference, endpoint, descriptor.digest, descriptor.mediaType);
      const answer = await this.#transport.expect(endpoint, request, context, [200]);
      const bytes = await readManifest(answer, reference);
      const digest = digestOf(bytes);
      if (digest !== descriptor.digest) {
        throw new KilnError(
          'data_loss',
          `${repositoryName(reference)}: ${endpoint.host} sent manifest ${digest} when asked for ${descriptor.digest}`,
        );
      }
      return bytes;
    });
  }

  async fetchBlob(
    reference: ImageReference,
    descriptor: Descriptor,
    store: ContentStore,
    context: RegistryContext & { readonly onProgress?: (bytes: number) => void },
  ): Promise<void> {
    using _slot = await this.#slot(`read ${reference.domain}`).acquire(context.signal);
    if (await store.stat(descriptor.digest)) return;
    await using writer = await store.writer({ digest: descriptor.digest, size: descriptor.size });
    const transfer = { received: 0, writer };
    await this.#eachEndpoint(reference, context, (endpoint) =>
      this.#receive(reference, descriptor, endpoint, transfer, context),
    );
    try {
      await writer.commit();
    } catch (error) {
      throw asKilnError(error).wrap(
        `${repositoryName(reference)}: blob ${descriptor.digest} from ${reference.domain}`,
      );
    }
  }

  /** Reads the rest of a blob. Attempts that brought bytes do not count as failed ones. */
  async #receive(
    reference: ImageReference,
    descriptor: Descriptor,
    endpoint: Endpoint,
    transfer: { received: number; readonly writer: BlobWriter },
    context: RegistryContext & { readonly onProgress?: (bytes: number) => void },
  ): Promise<void> {
    for (let attempt = 1; transfer.received < descriptor.size; attempt++) {
      const before = transfer.received;
      try {
        await this.#receiveOnce(reference, descriptor, endpoint, transfer, context);
      } catch (error) {
        if (context.signal.aborted) throw abortError(context.signal);
        if (transfer.received > before) attempt = 1;
        if (attempt >= this.#retry.attempts || !isTransient(error)) throw error;
        await backOff(this.#retry, attempt, context.signal);
      }
    }
  }

  async #receiveOnce(
    reference: ImageReference,
    descriptor: Descriptor,
    endpoint: Endpoint,
    transfer: { received: number; readonly writer: BlobWriter },
    context: RegistryContext & { readonly onProgress?: (bytes: number) => void },
  ): Promise<void> {
    const { signal, onProgress } = context;
    const answer = await this.#transport.expect(
      endpoint,
      {
        method: 'GET',
        target: `${repositoryPath(reference, endpoint)}/blobs/${descriptor.digest}`,
        repository: repositoryName(reference),
        scopes: [scopeOf(reference, endpoint, 'pull')],
        headers: transfer.received > 0 ? { range: `bytes=${transfer.received}-` } : {},
      },
      context,
      [200, 206],
    );
    // A server that ignores the range starts again from the first byte.
    let skip = answer.status === 206 ? 0 : transfer.received;
    const chunks = answer.body[Symbol.asyncIterator]() as AsyncIterator<Uint8Array>;
    try {
      while (true) {
        const next = await chunks.next().catch((error: unknown) => {
          throw signal.aborted
            ? abortError(signal)
            : networkError(error, repositoryName(reference), endpoint.host);
        });
        if (next.done) break;
        const chunk = next.value.subarray(Math.min(skip, next.value.length));
        skip -= next.value.length - chunk.length;
        if (chunk.length === 0) continue;
        if (transfer.received + chunk.length > descriptor.size) {
          throw new KilnError(
            'data_loss',
            `${repositoryName(reference)}: ${endpoint.host} sent more than the ${descriptor.size} bytes of blob ${descriptor.digest}`,
          );
        }
        await transfer.writer.write(chunk);
        transfer.received += chunk.length;
        onProgress?.(transfer.received);
      }
    } finally {
      answer.body.destroy();
    }
    if (transfer.received < descriptor.size) {
      throw new KilnError(
        'unavailable',
        `${repositoryName(reference)}: ${endpoint.host} ended blob ${descriptor.digest} after ${transfer.received} of ${descriptor.size} bytes`,
      );
    }
  }

  async pushBlob(
    reference: ImageReference,
    descriptor: Descriptor,
    body: BlobBody,
    context: RegistryContext & {
      readonly mountFrom?: readonly string[];
      readonly onProgress?: (bytes: number) => void;
    },
  ): Promise<PushOutcome> {
    const { signal } = context;
    const endpoint = this.#writable(reference, context);
    using _slot = await this.#slot(`write ${reference.domain}`).acquire(signal);
    const mountFrom = context.mountFrom?.find((repository) => repository !== reference.path);
    return withRetry(this.#retry, signal, isTransient, async (): Promise<PushOutcome> => {
      const request = writeRequest(reference, endpoint);
      const head = await this.#transport.send(
        endpoint,
        {
          ...request,
          method: 'HEAD',
          target: `${repositoryPath(reference, endpoint)}/blobs/${descriptor.digest}`,
        },
        context,
      );
      await discard(head.body);
      if (head.status === 200) return 'exists';

      const begun = await this.#beginUpload(reference, descriptor, endpoint, mountFrom, context);
      if (begun.status === 201) return 'mounted';
      const location = begun.headers.location;
      if (typeof location !== 'string') {
        throw new KilnError(
          'failed_precondition',
          `${repositoryName(reference)}: ${endpoint.host} accepted an upload but did not say where to send it`,
        );
      }
      const target = locationOf(begun.url, location, 'sends an upload');
      target.searchParams.set('digest', descriptor.digest);
      const answer = await this.#transport.expect(
        endpoint,
        {
          ...request,
          method: 'PUT',
          target,
          headers: {
            'content-type': 'application/octet-stream',
            'content-length': String(descriptor.size),
          },
          body: async () =>
            descriptor.size === 0 ? new Uint8Array() : counted(await body.open(signal), context.onProgress),
          answerTimeout: commitTimeout,
        },
        context,
        [200, 201, 202, 204],
      );
      await discard(answer.body);
      return 'uploaded';
    });
  }

  async #beginUpload(
    reference: ImageReference,
    descriptor: Descriptor,
    endpoint: Endpoint,
    mountFrom: string | undefined,
    context: RegistryContext,
  ): Promise<RegistryAnswer> {
    const uploads = `${repositoryPath(reference, endpoint)}/blobs/uploads/`;
    const request = writeRequest(reference, endpoint);
    if (mountFrom !== undefined) {
      const query = new URLSearchParams({ mount: descriptor.digest, from: mountFrom });
      const answer = await this.#transport.send(
        endpoint,
        {
          ...request,
          method: 'POST',
          target: `${uploads}?${query}`,
          scopes: [...request.scopes, `repository:${mountFrom}:pull`],
        },
        context,
      );
      await discard(answer.body);
      if (answer.status === 201 || answer.status === 202) return answer;
      // Not allowed to read the other repository, perhaps: an upload is as good.
    }
    const answer = await this.#transport.expect(
      endpoint,
      { ...request, method: 'POST', target: uploads },
      context,
      [202],
    );
    await discard(answer.body);
    return answer;
  }

  async pushManifest(
    reference: ImageReference,
    descriptor: Descriptor,
    bytes: Uint8Array,
    context: RegistryContext,
  ): Promise<void> {
    const endpoint = this.#writable(reference, context);
    const name = reference.tag ?? descriptor.digest;
    await withRetry(this.#retry, context.signal, isTransient, async () => {
      const answer = await this.#transport.expect(
        endpoint,
        {
          ...writeRequest(reference, endpoint),
          method: 'PUT',
          target: `${repositoryPath(reference, endpoint)}/manifests/${name}`,
          headers: { 'content-type': descriptor.mediaType },
          body: async () => bytes,
        },
        context,
        [200, 201, 202],
      );
      await discard(answer.body);
      const stored = answer.headers['docker-content-digest'];
      if (typeof stored === 'string' && stored !== descriptor.digest) {
        throw new KilnError(
          'data_loss',
          `${repositoryName(reference)}: ${endpoint.host} stored the manifest as ${stored}, not as ${descriptor.digest}`,
        );
      }
    });
  }

  #writable(reference: ImageReference, context: RegistryContext): Endpoint {
    return endpointsFor(reference.domain, this.#hosts, {
      write: true,
      insecure: context.insecure ?? false,
    })[0]!;
  }

  /** Small reads: every endpoint in turn, each with the usual attempts. */
  #read<T>(
    reference: ImageReference,
    context: RegistryContext,
    work: (endpoint: Endpoint) => Promise<T>,
  ): Promise<T> {
    return this.#eachEndpoint(reference, context, (endpoint) =>
      withRetry(this.#retry, context.signal, isTransient, () => work(endpoint)),
    );
  }

  /** The first endpoint that can answer does. When none can, the host's own failure is thrown, with what was wrong with each mirror. */
  async #eachEndpoint<T>(
    reference: ImageReference,
    context: RegistryContext,
    work: (endpoint: Endpoint) => Promise<T>,
  ): Promise<T> {
    const endpoints = endpointsFor(reference.domain, this.#hosts, {
      write: false,
      insecure: context.insecure ?? false,
    });
    const failed: string[] = [];
    for (const endpoint of endpoints) {
      try {
        return await work(endpoint);
      } catch (error) {
        if (context.signal.aborted) throw abortError(context.signal);
        const failure = asKilnError(error);
        if (!endpoint.mirror) throw afterMirrors(failure, failed);
        failed.push(`mirror ${endpoint.host} failed: ${failure.message}`);
      }
    }
    throw new KilnError('internal', `${reference.domain}: no endpoint`);
  }

  #slot(key: string): Semaphore {
    const existing = this.#slots.get(key);
    if (existing) return existing;
    const created = new Semaphore(this.#transfers);
    this.#slots.set(key, created);
    return created;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#transport[Symbol.asyncDispose]();
  }
}

/** The failure of the host itself, with what came of each mirror that was tried before it. */
function afterMirrors(failure: KilnError, mirrors: readonly string[]): KilnError {
  if (mirrors.length === 0) return failure;
  const { code, message, cause, hint, details } = failure;
  return new KilnError(code, [message, ...mirrors].join('; '), { cause, hint, details });
}

function repositoryPath(reference: ImageReference, endpoint: Endpoint): string {
  return `${endpoint.prefix}/${reference.path}`;
}

/** The repository is named as the server knows it: below a mirror's own path. */
function scopeOf(reference: ImageReference, endpoint: Endpoint, actions: string): string {
  return `repository:${repositoryPath(reference, endpoint).replace(/^\/v2\//, '')}:${actions}`;
}

function manifestRequest(
  reference: ImageReference,
  endpoint: Endpoint,
  name: string,
  mediaType = '',
): RegistryRequest {
  return {
    method: 'GET',
    target: `${repositoryPath(reference, endpoint)}/manifests/${name}`,
    repository: name.startsWith('sha256:')
      ? `${repositoryName(reference)}@${name}`
      : `${repositoryName(reference)}:${name}`,
    scopes: [scopeOf(reference, endpoint, 'pull')],
    headers: { accept: mediaType ? `${mediaType}, */*` : `${acceptedManifests}, */*` },
  };
}

function writeRequest(
  reference: ImageReference,
  endpoint: Endpoint,
): Pick<RegistryRequest, 'repository' | 'scopes'> {
  return { repository: repositoryName(reference), scopes: [scopeOf(reference, endpoint, 'pull,push')] };
}

function mediaTypeOf(answer: RegistryAnswer): string {
  const type = answer.headers['content-type'];
  return typeof type === 'string' ? type.split(';')[0]!.trim() : '';
}

/** A registry must not answer another digest than the one that was asked for. */
function checked(reference: ImageReference, descriptor: Descriptor): Descriptor {
  if (reference.digest !== undefined && reference.digest !== descriptor.digest) {
    throw new KilnError(
      'data_loss',
      `${formatReference(reference)}: the registry answered with digest ${descriptor.digest}`,
    );
  }
  return descriptor;
}

async function readManifest(answer: RegistryAnswer, reference: ImageReference): Promise<Uint8Array> {
  try {
    return await readBody(answer.body, maxManifestSize);
  } catch (error) {
    throw error instanceof KilnError
      ? error.wrap(`${formatReference(reference)}: the manifest`)
      : networkError(error, repositoryName(reference), answer.url.host);
  }
}

async function* counted(
  chunks: AsyncIterable<Uint8Array>,
  onProgress: ((bytes: number) => void) | undefined,
): AsyncIterable<Uint8Array> {
  let sent = 0;
  for await (const chunk of chunks) {
    yield chunk;
    sent += chunk.length;
    onProgress?.(sent);
  }
}
