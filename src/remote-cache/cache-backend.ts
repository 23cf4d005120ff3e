import type { Attributes } from '../base/text/attributes.ts';
import type { ContentStore } from '../content/content.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import type { BlobBody } from '../registry/registry.ts';

/**
 * A place outside of this machine where caches are kept: a registry, a directory of the client, a bucket. A backend stores and finds
 * two kinds of things there and knows nothing of what they mean: immutable _blobs_, named by their digests, and small mutable
 * _documents_, named by its options. All else is shared: keys, the config, layers and their compression, what is asked and written at
 * the same time, what is skipped because it is there, documents after all blobs, repeated attempts (`attempt.ts`), resumed and verified
 * downloads (`download-blob.ts`), documents kept between builds, what a failure means for the build.
 *
 * Every method throws KilnErrors: `not_found`, `unauthenticated`, `permission_denied`, `invalid_argument`, `data_loss`; and
 * `unavailable` for what may pass, which is tried again. None has a secret in its message. Every method ends soon after its signal aborts.
 */
export interface CacheBackend {
  /** Names the place to people, without a secret: `registry.example/app:cache`, `s3 bucket/prefix`. Equal for equal places. */
  readonly place: string;
  /** What a document is; see `CacheForm`. */
  readonly form: CacheForm;
  /** The documents of this cache. An export writes all of them, an import reads all of them. At least one. */
  readonly names: readonly string[];
  /** Blobs that are asked for and written at a time. */
  readonly uploads: number;
  /** Milliseconds that an import may take to bring a document, `defaultDocumentTimeout` if missing. */
  readonly documentTimeout?: number;
  /** Put on the descriptors of imported layers: where they can be copied from (`containerd.io/distribution.source.<host>`). */
  readonly layerAnnotations?: Readonly<Record<string, string>>;
  /** Whether the place is at a client, and out of reach without its session. */
  readonly needsSession?: boolean;
  /**
   * Returns whether the place has the blob, and during an export keeps what it has from expiring. Exports ask it before `writeBlob`, imports
   * before they count on a result. A backend whose `writeBlob` does nothing for a blob that is there may say no to exports.
   */
  hasBlob(blob: Descriptor, access: CacheAccess): Promise<boolean>;
  /** Stores a blob. A blob that somebody else stored meanwhile is no error; a part of one is never seen under its name. */
  writeBlob(blob: Descriptor, body: BlobBody, access: CacheAccess): Promise<void>;
  /** Brings a blob into `store`, which checks its digest. Throws `not_found`. */
  fetchBlob(blob: Descriptor, store: ContentStore, access: FetchAccess): Promise<void>;
  /**
   * Returns what the document is now; undefined when there is none. `known`: the `version` that the caller has; `unchanged` says that it is
   * still this one. A backend that can ask its server for that sends no document twice.
   */
  readDocument(
    name: string,
    known: string | undefined,
    access: CacheAccess,
  ): Promise<CacheDocument | 'unchanged' | undefined>;
  /** Writes a document in one step: a reader sees the old one or this one. The last writer wins. */
  writeDocument(name: string, document: WrittenDocument, access: CacheAccess): Promise<void>;
}

/**
 * What the documents of a backend are.
 * - `manifest`: an OCI or Docker manifest or index, which names the config and the layers as blobs. For places that collect blobs that no
 *   manifest names. `readDocument` may also return the manifest of an image (with an inline cache), or an index of several.
 * - `config`: the cache config itself, whose layers are annotated with media type, diff id and size.
 */
export type CacheForm = 'manifest' | 'config';

/** On whose behalf something is asked, and until when. */
export interface CacheAccess {
  readonly signal: AbortSignal;
  /** The sessions of the clients whose credentials or directories may be used, first one first. None is left after the builds. */
  readonly sessions: readonly string[];
}

export interface FetchAccess extends CacheAccess {
  /** Gets the number of bytes so far. */
  readonly onProgress?: (bytes: number) => void;
}

export interface CacheDocument {
  readonly bytes: Uint8Array;
  /** What tells this version from others: a digest, an entity tag. Missing: nothing does. */
  readonly version?: string;
  /** What the server calls it; empty when it does not say. */
  readonly mediaType?: string;
}

export interface WrittenDocument {
  readonly descriptor: Descriptor;
  readonly bytes: Uint8Array;
}

export type CachePurpose = 'import' | 'export';

/** A type of cache: `registry`, `s3`. */
export interface CacheBackendType {
  readonly type: string;
  /** The line of an export in the progress, as in BuildKit: `exporting cache to registry`. */
  readonly exportName: string;
  /**
   * Reads the options once. Throws `invalid_argument`. It connects to nothing and loads no heavy library: the methods do that when they are
   * called first. Options that all types have (`mode`, `ignore-error`, `compression`, …) are not its business.
   */
  open(attributes: Attributes, purpose: CachePurpose): CacheBackend;
}

/** Milliseconds; a server that has not brought a document by then is as good as none. */
export const defaultDocumentTimeout = 60_000;

/** Bytes; larger documents are refused by imports. BuildKit reads 1 MiB of what a manifest names. */
export const maxDocumentSize = 16 * 1024 * 1024;
