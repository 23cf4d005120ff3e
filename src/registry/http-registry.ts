import { abortError, Semaphore } from '../base/async/lifetime.ts';
import { digestOf, isDigest } from '../base/digest.ts';
import { asKilnError, KilnError } from '../base/errors.ts';
import type { ContentStore } from '../content/content.ts';
import { isTransient } from '../http/network-failure.ts';
import { discard, readBody } from '../http/read-body.ts';
import { defaultRetry, type RetryPolicy, withRetry } from '../http/retry.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import { parseManifest } from '../oci/manifest.ts';
import { formatReference, type ImageReference, repositoryName } from '../oci/reference.ts';
import { BlobDownload } from './blob-download.ts';
import { uploadBlob } from './blob-upload.ts';
import { type Endpoint, endpointsFor, type RegistryHosts } from './host-config.ts';
import { networkError } from './network-error.ts';
import type { BlobBody, PushOutcome, Registry, RegistryContext, TransferContext } from './registry.ts';
import { type RegistryAnswer, RegistryTransport } from './registry-transport.ts';
import { blobRequest, manifestRequest, putManifestRequest } from './repository-requests.ts';

export interface HttpRegistryOptions {
  readonly hosts?: RegistryHosts;
  readonly retry?: RetryPolicy;
  /** Blob transfers at a time, for each host and direction. */
  readonly transfers?: number;
}

const defaultTransfers = 4;
/** Registries refuse larger manifests. */
const maxManifestSize = 8 * 1024 * 1024;

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
      // Not every registry answers HEAD in full, and what it refuses is explained in the body of a GET only.
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

  hasBlob(reference: ImageReference, { digest }: Descriptor, context: RegistryContext): Promise<boolean> {
    return this.#read(reference, context, async (endpoint) => {
      const request = { ...blobRequest(reference, endpoint, digest, 0), method: 'HEAD' as const };
      // What a mirror does not have may be at the host.
      const accepted = endpoint.mirror ? [200] : [200, 404];
      const { status, body } = await this.#transport.expect(endpoint, request, context, accepted);
      await discard(body);
      return status === 200;
    });
  }

  async fetchBlob(
    reference: ImageReference,
    descriptor: Descriptor,
    store: ContentStore,
    context: TransferContext,
  ): Promise<void> {
    using _slot = await this.#slot(`read ${reference.domain}`).acquire(context.signal);
    if (await store.stat(descriptor.digest)) return;
    await using writer = await store.writer({ digest: descriptor.digest, size: descriptor.size });
    const download = new BlobDownload(this.#transport, { reference, descriptor }, writer);
    await this.#eachEndpoint(reference, context, (endpoint) =>
      download.receiveFrom(endpoint, this.#retry, context),
    );
    try {
      await writer.commit();
    } catch (error) {
      throw asKilnError(error).wrap(
        `${repositoryName(reference)}: blob ${descriptor.digest} from ${reference.domain}`,
      );
    }
  }

  async pushBlob(
    reference: ImageReference,
    descriptor: Descriptor,
    body: BlobBody,
    context: TransferContext & { readonly mountFrom?: readonly string[] },
  ): Promise<PushOutcome> {
    const { signal } = context;
    const endpoint = this.#writable(reference, context);
    using _slot = await this.#slot(`write ${reference.domain}`).acquire(signal);
    const mountFrom = context.mountFrom?.find((repository) => repository !== reference.path);
    const upload = { reference, descriptor, body, mountFrom };
    return withRetry(this.#retry, signal, isTransient, () =>
      uploadBlob(upload, endpoint, this.#transport, context),
    );
  }

  async pushManifest(
    reference: ImageReference,
    descriptor: Descriptor,
    bytes: Uint8Array,
    context: RegistryContext,
  ): Promise<void> {
    const endpoint = this.#writable(reference, context);
    const name = reference.tag ?? descriptor.digest;
    const manifest = { mediaType: descriptor.mediaType, bytes };
    await withRetry(this.#retry, context.signal, isTransient, async () => {
      const request = putManifestRequest(reference, endpoint, name, manifest);
      const answer = await this.#transport.expect(endpoint, request, context, [200, 201, 202]);
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

  /** Reads something small: from one endpoint after the other, with the usual attempts at each. */
  #read<T>(
    reference: ImageReference,
    context: RegistryContext,
    work: (endpoint: Endpoint) => Promise<T>,
  ): Promise<T> {
    return this.#eachEndpoint(reference, context, (endpoint) =>
      withRetry(this.#retry, context.signal, isTransient, () => work(endpoint)),
    );
  }

  /** Returns what `work` gives for the first endpoint where it succeeds. If there is none, throws the host's own failure, with that of each mirror. */
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

/** The failure of the host itself, with that of each mirror that was tried before it. */
function afterMirrors(failure: KilnError, mirrors: readonly string[]): KilnError {
  if (mirrors.length === 0) return failure;
  const { code, message, cause, hint, details } = failure;
  return new KilnError(code, [message, ...mirrors].join('; '), { cause, hint, details });
}

function mediaTypeOf(answer: RegistryAnswer): string {
  const type = answer.headers['content-type'];
  return typeof type === 'string' ? type.split(';')[0]!.trim() : '';
}

/** Throws `data_loss` when the registry answers another digest than the one that was asked for. */
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
