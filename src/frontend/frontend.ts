import type { Digest } from '../base/digest.ts';
import type { Platform } from '../base/platform.ts';
import type { WarningEvent } from '../base/progress.ts';
import type { OpGraph } from '../llb/graph.ts';
import type { Definition, SourceOp } from '../llb/op.ts';
import type { ResultAttestations } from './result-attestation.ts';

/** Turns a request (a Dockerfile and options) into a result. Everything it needs of the engine comes through the bridge. */
export interface Frontend {
  /** As clients name it: `dockerfile.v0`, `gateway.v0`. */
  readonly name: string;
  solve(bridge: Bridge, request: FrontendRequest, signal: AbortSignal): Promise<FrontendResult>;
}

export interface FrontendRequest {
  /** As the client sent them: the frontend parses them, once. */
  readonly options: Readonly<Record<string, string>>;
  /** Definitions that the client sent along, by name (`buildctl`'s contexts of kind `input:`). */
  readonly inputs: ReadonlyMap<string, Definition>;
  readonly sessionId: string;
  /** Whether frontends that are built in do the work of images that they can stand in for; they do by default. */
  readonly builtInSyntax?: boolean;
}

/** One ref per platform key; a plain build has the key ''. An undefined ref is the empty tree. */
export interface FrontendResult {
  readonly refs: ReadonlyMap<string, SolvedRef | undefined>;
  readonly metadata: ReadonlyMap<string, Uint8Array>;
  /** Of the platforms' results. Those that say where a result came from are the engine's, not a frontend's. */
  readonly attestations?: ResultAttestations<SolvedRef>;
}

/** What frontends, built in or at the other end of the gateway, can ask of the engine. */
export interface Bridge {
  /** Resolves an image reference to its config without pulling layers. Progress shows it as a vertex named `logName`. */
  resolveImageConfig(ref: string, options: ResolveImageOptions): Promise<ResolvedImage>;
  /**
   * When a commit was made, or a file at a URL was changed if its server says so; undefined for sources without a time. Progress
   * shows the question as a vertex named `logName`.
   */
  sourceTime(source: SourceOp, logName: string): Promise<Date | undefined>;
  /** Solves lazily: nothing runs until the result is read, evaluated or exported. */
  solve(request: BridgeSolve): Promise<FrontendResult>;
  warn(vertex: Digest, warning: WarningEvent): void;
  /** The workers that can run steps, the default one first. */
  readonly workers: readonly WorkerInfo[];
}

export interface WorkerInfo {
  readonly id: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly platforms: readonly Platform[];
}

export interface ResolveImageOptions {
  readonly platform: Platform;
  readonly resolveMode: 'default' | 'pull' | 'local';
  readonly logName?: string;
  readonly ociLayout?: { readonly sessionId: string; readonly storeId: string };
}

export interface ResolvedImage {
  readonly ref: string;
  readonly digest: Digest;
  readonly config: Uint8Array;
}

export interface BridgeSolve {
  /** Either a graph … */
  readonly graph?: OpGraph;
  /** … or a frontend with its options. */
  readonly frontend?: string;
  readonly options?: Readonly<Record<string, string>>;
  readonly inputs?: ReadonlyMap<string, Definition>;
  readonly cacheImports?: readonly {
    readonly type: string;
    readonly attrs: Readonly<Record<string, string>>;
  }[];
  /** Whether to run it now instead of when somebody asks for files of the result. */
  readonly evaluate?: boolean;
}

/** A tree that is solved when somebody asks for its files. */
export interface SolvedRef {
  readonly id: string;
  /** What it is solved from; a frontend that works in a thread is not told. */
  readonly graph?: OpGraph;
  evaluate(signal: AbortSignal): Promise<void>;
  /** Paths start at the tree's root, and links are resolved inside it. A `length` of 0 reads to the end. Throws `not_found`. */
  readFile(
    path: string,
    range?: { readonly offset: number; readonly length: number },
    signal?: AbortSignal,
  ): Promise<Uint8Array>;
  readDir(path: string, includePattern?: string, signal?: AbortSignal): Promise<readonly FileStat[]>;
  statFile(path: string, signal?: AbortSignal): Promise<FileStat>;
}

/** fsutil's stat. `mode` has Go's file-type bits; `modTime` in nanoseconds since 1970. */
export interface FileStat {
  readonly path: string;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly size: bigint;
  readonly modTime: bigint;
  readonly linkname: string;
  readonly devmajor: bigint;
  readonly devminor: bigint;
  readonly xattrs: Readonly<Record<string, Uint8Array>>;
}
