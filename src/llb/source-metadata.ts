import type { Digest } from '../base/digest.ts';

/** What the engine and a client tell each other about a source without fetching its files. */

/** What a ref of a git repository names now. */
export interface GitMetadata {
  /** The ref's full name, or the commit if the source names a commit. */
  readonly ref: string;
  /** The object that the ref points to: a commit or an annotated tag. */
  readonly object: string;
  /** The commit, if `object` is known to be a tag of it. */
  readonly commit: string | undefined;
  /** The commit and the tag as git stores them; only for questions that ask for objects. */
  readonly commitObject: Uint8Array | undefined;
  readonly tagObject: Uint8Array | undefined;
}

/** What a URL names now. */
export interface HttpMetadata {
  readonly digest: string;
  readonly filename: string;
  /** Undefined when the server does not say, or was not asked. */
  readonly lastModified: Date | undefined;
  /** The answer to a `ChecksumQuestion`; undefined without one. */
  readonly checksum: HttpChecksum | undefined;
}

/** Asks for a checksum of the file followed by `suffix`, which is what signatures are made of. */
export interface ChecksumQuestion {
  readonly algorithm: 'sha256' | 'sha384' | 'sha512';
  readonly suffix: Uint8Array;
}

export interface HttpChecksum {
  /** `sha512:…`. */
  readonly digest: string;
  readonly suffix: Uint8Array;
}

/** What is attested about an image, as far as a client needs it to verify signatures: blobs with their bytes, by digest. */
export interface AttestationChain {
  /** What the image's name stands for: an index. */
  readonly root: Digest;
  /** The image for the platform that was asked about. */
  readonly imageManifest: Digest;
  /** Undefined when nothing is attested. */
  readonly attestationManifest: Digest | undefined;
  readonly signatureManifests: readonly Digest[];
  readonly blobs: ReadonlyMap<Digest, ChainBlob>;
}

export interface ChainBlob {
  readonly mediaType: string;
  readonly annotations: Readonly<Record<string, string>>;
  readonly data: Uint8Array;
}

/** Asks for a chain, and for the statements in it that have these predicate types. */
export interface AttestationQuestion {
  readonly predicateTypes: readonly string[];
}
