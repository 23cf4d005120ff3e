import type { Platform } from '../base/platform.ts';
import type { ProgressWriter } from '../base/progress.ts';
import type { ImmutableRef } from '../ref/ref.ts';
import type { Attestation } from './attestation.ts';

/** What a build gives to its exporters. Refs are borrowed; undefined is the empty tree. */
export interface ExportInput {
  /** One entry for a plain build, one per platform otherwise. `key` is the platform's id (`linux/amd64`), empty for a plain one. */
  readonly results: readonly PlatformResult[];
  /** The frontend's metadata (`containerimage.config`, `refs.platforms`, …), for all platforms. */
  readonly metadata: Readonly<Record<string, Uint8Array>>;
  /** By which the client wants results to be made; the latest way by default. */
  readonly compatibilityVersion?: number;
}

export interface PlatformResult {
  readonly key: string;
  readonly platform: Platform;
  readonly ref: ImmutableRef | undefined;
  /** The image config (JSON) as the frontend made it; undefined for a bare LLB build. */
  readonly config: Uint8Array | undefined;
  /** In the order in which they were attached: the frontend's, then the engine's. */
  readonly attestations: readonly Attestation[];
  /** Returns what the image's config says as a cache of this build; undefined when there is nothing to say. Missing: nobody wants it there. */
  readonly inlineCache?: (signal: AbortSignal) => Promise<Uint8Array | undefined>;
}

/** Results are named by platform, unless the build has one result without a name. */
export function isMultiPlatform(input: ExportInput): boolean {
  return input.results.some((result) => result.key !== '');
}

export interface ExportContext {
  readonly signal: AbortSignal;
  readonly progress: ProgressWriter;
  /** The session of the client that asked for the export. */
  readonly sessionId: string;
  /** Position among the build's exporters: clients match their outputs by it. */
  readonly index: number;
  /** Told when the blobs of all layers that the output needs are made, and others may make theirs. */
  readonly onLayersMade?: () => void;
}

/** An output type. `open` parses the string attributes once (unknown values: `invalid_argument`). */
export interface ExporterType {
  readonly type: string;
  open(attrs: Readonly<Record<string, string>>): Exporter;
}

export interface Exporter {
  /** The line in the progress: `exporting to image`. */
  readonly name: string;
  /** Returns the exporter response (`containerimage.digest`, `image.name`, …). */
  export(input: ExportInput, context: ExportContext): Promise<Readonly<Record<string, string>>>;
}
