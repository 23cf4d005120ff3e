import type { Digest } from '../base/digest.ts';
import type { Platform } from '../base/platform.ts';
import type { ProgressWriter } from '../base/progress.ts';
import type { SourceOp } from '../llb/op.ts';
import type {
  AttestationChain,
  AttestationQuestion,
  ChecksumQuestion,
  GitMetadata,
  HttpMetadata,
} from '../llb/source-metadata.ts';
import type { ImmutableRef } from '../ref/ref.ts';

export interface SourceContext {
  readonly signal: AbortSignal;
  readonly progress: ProgressWriter;
  /** Sessions of the builds that want the source, the first build's first. Changes as builds come and go. */
  sessions(): readonly string[];
  /** Keeps a tree until the builds that want the source now have ended: what a key was made from must still be there when the key is used. */
  retain(ref: ImmutableRef): void;
}

/** The same context with another signal: for work that several builds share, and that ends when none wants it any more. */
export function withSignal(context: SourceContext, signal: AbortSignal): SourceContext {
  return {
    signal,
    progress: context.progress,
    sessions: () => context.sessions(),
    retain: (ref) => context.retain(ref),
  };
}

/**
 * A kind of place that files come from, chosen by the scheme of the op's identifier. Three steps, each only when
 * needed: `open` checks the identifier and attributes (throws `invalid_argument`), `key` finds out what exactly it names now
 * (an image's digest, a commit) without bringing it here, `snapshot` brings it (as lazily as it can).
 */
export interface Source {
  /** Without `://`: `local`, `docker-image`. */
  readonly schemes: readonly string[];
  /** Its identifiers say nothing about the files (a local directory): consumers have to look at content. */
  readonly contentOnly: boolean;
  open(op: SourceOp, platform: Platform): SourceInstance;
}

export interface SourceInstance {
  key(context: SourceContext): Promise<SourceKey>;
  /** Called after `key`, with the same instance. */
  snapshot(context: SourceContext): Promise<ImmutableRef>;
  /**
   * For a source that brings only some of its files: which existing path one that does not exist was probably meant to be.
   * Undefined for a path that exists, and when nothing is near.
   */
  nearestPath?(path: string, context: SourceContext): Promise<string | undefined>;
}

export interface SourceKey {
  /** Equal digests mean equal files. */
  readonly digest: Digest;
  /** Other digests that mean the same files. */
  readonly alternatives?: readonly Digest[];
  /** What the identifier was resolved to, for provenance and pinning: a digest, a commit. */
  readonly pin?: string;
}

/** An image's config as a frontend asks for it. */
export interface ImageMetadata {
  /** The canonical reference, with the digest it resolved to. */
  readonly ref: string;
  readonly digest: Digest;
  readonly config: Uint8Array;
}

export type ResolveMode = 'default' | 'pull' | 'local';

export interface ImageMetadataOptions {
  readonly platform: Platform;
  readonly resolveMode: ResolveMode;
  /** For oci-layout references. */
  readonly ociLayout?: { readonly sessionId: string; readonly storeId: string };
}

/** Implemented by sources that name files: tells what the file is now. */
export interface FileResolver {
  resolveFile(
    source: SourceOp,
    checksum: ChecksumQuestion | undefined,
    context: SourceContext,
  ): Promise<HttpMetadata>;
}

/** Implemented by sources that name commits: tells what a ref is now. The objects themselves have to be fetched. */
export interface CommitResolver {
  resolveCommit(
    source: SourceOp,
    options: { readonly withObjects: boolean },
    context: SourceContext,
  ): Promise<GitMetadata>;
}

/** Implemented by sources that name images: tells the config, and what is attested, without pulling layers. */
export interface ImageResolver {
  resolveConfig(ref: string, options: ImageMetadataOptions, context: SourceContext): Promise<ImageMetadata>;
  /** Undefined for an image without an index, of which nothing is attested. */
  resolveAttestations(
    ref: string,
    question: AttestationQuestion,
    options: ImageMetadataOptions,
    context: SourceContext,
  ): Promise<AttestationChain | undefined>;
}
