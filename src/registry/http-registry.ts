import { abortError, Semaphore, throwIfAborted } from '../base/async/lifetime.ts';
import { type Digest, digestOf, isDigest } from '../base/digest.ts';
import { asKilnError, KilnError } from '../base/errors.ts';
import type { ContentStore } from '../content/content.ts';
import { codeOfStatus } from '../http/code-of-status.ts';
import { isTransient } from '../http/network-failure.ts';
import { discard, readBody } from '../http/read-body.ts';
import { defaultRetry, type RetryPolicy, withRetry } from '../http/retry.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import { parseManifest } from '../oci/manifest.ts';
import { formatReference, type ImageReference, repositoryName } from '../oci/reference.ts';
import { BlobDownload, type BlobServer } from './blobs/blob-download.ts';
import { foreignServer, registryServer } from './blobs/blob-servers.ts';
import { BlobUpload } from './blobs/blob-upload.ts';
import { readBlobPart } from './blobs/read-blob-part.ts';
import { type Endpoint, endpointsFor, type RegistryHosts } from './host-config.ts';
import { networkError } from './network-error.ts';
import { nextPage, referrerOf, referrersIn, referrersTag, withReferrer } from './referrers.ts';
import type { BlobBody, PushOutcome, Registry, RegistryContext, TransferContext } from './registry.ts';
import { type RegistryAnswer, RegistryTransport } from './registry-transport.ts';
import {
  blobRequest,
  manifestExistsRequest,
  manifestRequest,
  putManifestRequest,
  referrersRequest,
} from './repository-requests.ts';

export interface HttpRegistryOptions {
  readonly hosts?: RegistryHosts;
  readonly retry?: RetryPolicy;
  /** Blob transfers at a time, for each host and direction. */
  readonly transfers?: number;
}

const defaultTransfers = 4;
/** How often a mirror is asked the same. */
const mirrorAttempts = 2;
/** Milliseconds for which a mirror that could not be reached is not asked again. */
const ailingTime = 30_000;
/** More referrers are not looked for. */
const maxReferrerPages = 100;
const maxReferrers = 10_000;
/** How many of a layer's URLs are tried. */
const mostForeign = 4;
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
  /** Mirrors that could not be reached a moment ago. */
  readonly #ailing = new Map<string, { readonly until: number; readonly failure: string }>();

  constructor(options: HttpRegistryOptions) {
    this.#hosts = options.hosts ?? {};
    this.#retry = options.retry ?? defaultRetry;
    this.#transfers = options.transfers ?? defaultTransfers;
  }

  resolve(reference: ImageReference, context: RegistryContext): Promise<Descriptor> {
    return this.#read(reference, context, async (endpoint) => {
      const request = manifestRequest(reference, endpoint, reference.digest ?? reference.tag ?? 'latest');
      const head = await this.#transport.send(endpoint, { ...request, method: 'HEAD' }, context);
      if (head.headers['retry-after'] !== undefined && codeOfStatus(head.status) === 'unavailable') {
        throw await this.#transport.refusal(endpoint, request, head);
      }
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

  blobSize(reference: ImageReference, digest: Digest, context: RegistryContext): Promise<number | undefined> {
    return this.#read(reference, context, async (endpoint) => {
      const request = { ...blobRequest(reference, endpoint, digest, { offset: 0 }), method: 'HEAD' as const };
      // What a mirror does not have may be at the host.
      const accepted = endpoint.mirror ? [200] : [200, 404];
      const { status, body, headers } = await this.#transport.expect(endpoint, request, context, accepted);
      await discard(body);
      if (status !== 200) return undefined;
      const length = headers['content-length'];
      if (length !== undefined && /^\d{1,15}$/.test(length)) return Number(length);
      throw new KilnError(
        'failed_precondition',
        `${repositoryName(reference)}: ${endpoint.host} does not say how large ${digest} is`,
      );
    });
  }

  async fetchBlob(
    reference: ImageReference,
    descriptor: Descriptor,
    store: ContentStore,
    context: TransferContext,
  ): Promise<void> {
    const slots = this.#slot(`read ${reference.domain}`);
    using _slot = await slots.acquire(context.signal);
    if (await store.stat(descriptor.digest)) return;
    const blob = { repository: repositoryName(reference), descriptor };
    await using download = new BlobDownload(blob, store, { ...context, permit: () => slots.tryAcquire() });
    await this.#eachEndpoint(reference, context, async (endpoint) => {
      const server = registryServer(this.#transport, endpoint, { reference, descriptor }, context);
      await download.complete(server, this.#retryOf(endpoint));
    }).catch(async (error: unknown) => {
      const foreign = asKilnError(error).code === 'not_found' ? (descriptor.urls ?? []) : [];
      for (const url of foreign.slice(0, mostForeign)) {
        const server = foreignServer(this.#transport, url, reference);
        if (server && (await this.#isCompleted(download, server, context.signal))) return;
      }
      throw error;
    });
  }

  readBlob(
    reference: ImageReference,
    descriptor: Descriptor,
    range: { readonly offset: number; readonly length: number },
    context: RegistryContext,
  ): Promise<Uint8Array> {
    return this.#read(reference, context, (endpoint) => {
      const server = registryServer(this.#transport, endpoint, { reference, descriptor }, context);
      return readBlobPart(
        server,
        { repository: repositoryName(reference), descriptor },
        range,
        context.signal,
      );
    });
  }

  async #isCompleted(download: BlobDownload, server: BlobServer, signal: AbortSignal): Promise<boolean> {
    try {
      await download.complete(server, this.#retry);
      return true;
    } catch {
      throwIfAborted(signal);
      return false;
    }
  }

  async pushBlob(
    reference: ImageReference,
    descriptor: Descriptor,
    body: BlobBody,
    context: TransferContext & { readonly mountFrom?: readonly string[] },
  ): Promise<PushOutcome> {
    const endpoint = this.#writable(reference, context);
    using _slot = await this.#slot(`write ${reference.domain}`).acquire(context.signal);
    const mountFrom = (context.mountFrom ?? []).filter(
      (repository) => repository !== reference.path && isRepository(repository),
    );
    const blob = { reference, descriptor, body, mountFrom };
    return await new BlobUpload(blob, endpoint, this.#transport, this.#retry, context).run();
  }

  async hasManifest(
    reference: ImageReference,
    { digest, mediaType }: Descriptor,
    context: RegistryContext,
  ): Promise<boolean> {
    const endpoint = this.#writable(reference, context);
    const request = manifestExistsRequest(reference, endpoint, reference.tag ?? digest, mediaType);
    try {
      const { status, headers, body } = await this.#transport.send(endpoint, request, context);
      await discard(body);
      return status === 200 && headers['docker-content-digest'] === digest;
    } catch {
      throwIfAborted(context.signal);
      return false;
    }
  }

  async pushManifest(
    reference: ImageReference,
    descriptor: Descriptor,
    bytes: Uint8Array,
    context: RegistryContext & { readonly namedByIndex?: boolean },
  ): Promise<void> {
    const endpoint = this.#writable(reference, context);
    const name = reference.tag ?? descriptor.digest;
    const manifest = { mediaType: descriptor.mediaType, bytes };
    const answeredSubject = await withRetry(this.#retry, context.signal, isTransient, async () => {
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
      return answer.headers['oci-subject'];
    });
    if (context.namedByIndex) return;
    const parsed = parseManifest(bytes, formatReference(reference), descriptor.mediaType);
    if (!parsed.subject || answeredSubject === parsed.subject.digest) return;
    const listed = await this.#taggedReferrers(reference, parsed.subject.digest, context);
    const index = withReferrer(listed, referrerOf(descriptor, parsed));
    if (!index) return;
    const tag = referrersTag(reference, parsed.subject.digest);
    await this.pushManifest(tag, index.descriptor, index.bytes, context);
  }

  async referrers(
    reference: ImageReference,
    digest: Digest,
    context: RegistryContext & { readonly artifactType?: string },
  ): Promise<readonly Descriptor[]> {
    const listed = await this.#read(reference, context, async (endpoint) => {
      const request = referrersRequest(reference, endpoint, digest, context.artifactType);
      const answer = await this.#transport.send(endpoint, request, context);
      if (answer.status === 200) {
        return await this.#pages(answer, reference, (target) =>
          this.#transport.expect(endpoint, { ...request, target }, context, [200]),
        );
      }
      // A registry that does not know this question: 404 is what the specification names, others complain of the path.
      if (![400, 404, 405].includes(answer.status)) {
        throw await this.#transport.refusal(endpoint, request, answer);
      }
      await discard(answer.body);
      return undefined;
    });
    const all = listed ?? (await this.#taggedReferrers(reference, digest, context));
    const { artifactType } = context;
    return all.filter((entry) => artifactType === undefined || entry.artifactType === artifactType);
  }

  async #pages(
    first: RegistryAnswer,
    reference: ImageReference,
    fetch: (target: URL) => Promise<RegistryAnswer>,
  ): Promise<readonly Descriptor[]> {
    const entries: Descriptor[] = [];
    let answer = first;
    for (let page = 0; page < maxReferrerPages && entries.length < maxReferrers; page++) {
      entries.push(...referrersIn(await readManifest(answer, reference), reference));
      const next = nextPage(answer);
      if (!next) break;
      answer = await fetch(next);
    }
    return entries;
  }

  async #taggedReferrers(
    reference: ImageReference,
    subject: Digest,
    context: RegistryContext,
  ): Promise<readonly Descriptor[]> {
    const tag = referrersTag(reference, subject);
    try {
      const descriptor = await this.resolve(tag, context);
      return referrersIn(await this.fetchManifest(tag, descriptor, context), reference);
    } catch (error) {
      if (asKilnError(error).code === 'not_found') return [];
      throw error;
    }
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
      withRetry(this.#retryOf(endpoint), context.signal, isTransient, () => work(endpoint)),
    );
  }

  /** Where another server can be asked, little time is spent on one that fails. */
  #retryOf({ mirror }: Endpoint): RetryPolicy {
    return mirror
      ? { ...this.#retry, attempts: Math.min(this.#retry.attempts, mirrorAttempts) }
      : this.#retry;
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
      const ailing = endpoint.mirror ? this.#ailing.get(endpoint.host) : undefined;
      if (ailing && ailing.until > performance.now()) {
        failed.push(ailing.failure);
        continue;
      }
      try {
        return await work(endpoint);
      } catch (error) {
        if (context.signal.aborted) throw abortError(context.signal);
        const failure = asKilnError(error);
        if (!endpoint.mirror) throw afterMirrors(failure, failed);
        const said = `mirror ${endpoint.host} failed: ${failure.message}`;
        failed.push(said);
        if (failure.code === 'unavailable') {
          this.#ailing.set(endpoint.host, { until: performance.now() + ailingTime, failure: said });
        }
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

/** Names of repositories may come from what clients and images say, and become part of what a token is asked for. */
function isRepository(name: string): boolean {
  return /^[a-z0-9][a-z0-9._/-]{0,254}$/.test(name);
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
