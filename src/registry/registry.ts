import type { Digest } from '../base/digest.ts';
import type { BlobReadOptions, ContentStore } from '../content/content.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import type { ImageReference } from '../oci/reference.ts';
import type { BearerToken, TokenQuery } from './auth/token-protocol.ts';

/** On whose behalf a request is made: where its credentials come from. */
export interface RegistryAuth {
  /** Tokens and credentials are kept per identity: one client's are never used for another. */
  readonly identity: string;
  /** Credentials for `host`; undefined when there are none. An empty username means that the secret is an identity token. */
  credentials(
    host: string,
    signal: AbortSignal,
  ): Promise<{ readonly username: string; readonly secret: string } | undefined>;
  /** A bearer token that the client fetched itself; undefined when it cannot do that. */
  token(request: BearerRequest, signal: AbortSignal): Promise<BearerToken | undefined>;
}

/** A token that a client is asked to fetch. */
export interface BearerRequest extends TokenQuery {
  /** The registry. */
  readonly host: string;
  readonly clientId: string;
}

export interface RegistryContext {
  readonly signal: AbortSignal;
  readonly auth: RegistryAuth;
  /** Do not verify the registry's certificate, and use plain HTTP if it has no TLS. */
  readonly insecure?: boolean;
}

export interface TransferContext extends RegistryContext {
  /** Gets the number of bytes so far. */
  readonly onProgress?: (bytes: number) => void;
}

/** Where the bytes of a blob come from when it has to be uploaded. */
export interface BlobBody {
  /** From the first byte; called once for every attempt. `lent`: chunks need not stay (see `BlobReadOptions`). */
  open(signal: AbortSignal, options?: Pick<BlobReadOptions, 'lent'>): Promise<AsyncIterable<Uint8Array>>;
}

export type PushOutcome = 'exists' | 'mounted' | 'uploaded';

/**
 * A client of the OCI distribution protocol. Reads go to a host's mirrors first. Transient failures are tried again with
 * a growing delay; whatever remains is thrown as a KilnError that names host, repository and status:
 * `not_found`, `unauthenticated`, `permission_denied`, `unavailable`, `data_loss` (bytes that are not what their digest says).
 */
export interface Registry {
  /** What a tag or digest names now. The descriptor's media type is what the registry says. */
  resolve(reference: ImageReference, context: RegistryContext): Promise<Descriptor>;
  /** A manifest or index, checked against the descriptor's digest. */
  fetchManifest(
    reference: ImageReference,
    descriptor: Descriptor,
    context: RegistryContext,
  ): Promise<Uint8Array>;
  /**
   * The size of a blob, as the host itself or a mirror says; undefined when the repository does not have the blob. Throws `failed_precondition` when nobody
   * says the size.
   */
  blobSize(reference: ImageReference, digest: Digest, context: RegistryContext): Promise<number | undefined>;
  /**
   * Brings a blob into `store`, resuming where a connection broke. One that the registry lacks is taken from the descriptor's `urls`, without
   * credentials.
   */
  fetchBlob(
    reference: ImageReference,
    descriptor: Descriptor,
    store: ContentStore,
    context: TransferContext,
  ): Promise<void>;
  /** Reads a part of a blob, which nobody has verified. Throws `failed_precondition` and `data_loss` when no server sends what was asked for. */
  readBlob(
    reference: ImageReference,
    descriptor: Descriptor,
    range: { readonly offset: number; readonly length: number },
    context: RegistryContext,
  ): Promise<Uint8Array>;
  /**
   * Makes the repository of `reference` have the blob: nothing to do when it exists, mounted from one of `mountFrom`
   * (repositories of the same host, best first) when the registry allows, uploaded otherwise.
   */
  pushBlob(
    reference: ImageReference,
    descriptor: Descriptor,
    body: BlobBody,
    context: TransferContext & { readonly mountFrom?: readonly string[] },
  ): Promise<PushOutcome>;
  /**
   * Whether the host itself, not a mirror, says that the reference's tag names this manifest already, or that it has the manifest, where the reference has no tag.
   * False when it does not say.
   */
  hasManifest(reference: ImageReference, descriptor: Descriptor, context: RegistryContext): Promise<boolean>;
  /**
   * Puts a manifest or index under the reference's tag, or under its digest when it has none. One with a subject is listed among the
   * referrers of that, also by registries that do not do so themselves: under a tag made of the subject's digest, unless `namedByIndex`
   * says that it is found without.
   */
  pushManifest(
    reference: ImageReference,
    descriptor: Descriptor,
    bytes: Uint8Array,
    context: RegistryContext & { readonly namedByIndex?: boolean },
  ): Promise<void>;
  /** The manifests of the repository whose subject is `digest`: those of `artifactType` only, if it is given. */
  referrers(
    reference: ImageReference,
    digest: Digest,
    context: RegistryContext & { readonly artifactType?: string },
  ): Promise<readonly Descriptor[]>;
}

/** No credentials at all. */
export const anonymousAuth: RegistryAuth = {
  identity: '',
  credentials: async () => undefined,
  token: async () => undefined,
};
