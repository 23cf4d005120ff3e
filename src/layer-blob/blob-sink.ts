import type { Digest } from '../base/digest.ts';
import type { TarSink } from './layer-tar.ts';

/** A layer blob that was written. Sizes in bytes. */
export interface WrittenBlob {
  readonly diffId: Digest;
  readonly tarSize: number;
  readonly digest: Digest;
  readonly size: number;
  readonly estargz?: WrittenEstargz;
}

/** Where the tar of a layer goes to become a blob. */
export interface BlobSink extends TarSink {
  /** Call after the end of the archive. */
  finish(): WrittenBlob;
}

/** What a writer of eStargz says of its blob besides the usual. */
export interface WrittenEstargz {
  readonly tocDigest: Digest;
  /** Of the tar that was given, without the TOC. */
  readonly tarDigest: Digest;
}
