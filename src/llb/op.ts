import type { Digest } from '../base/digest.ts';
import type { Range } from '../base/errors.ts';
import type { LinuxResources } from '../base/linux-resources.ts';
import type { Platform } from '../base/platform.ts';
import type { ProgressGroup } from '../base/progress.ts';

/** One input edge of an op: output `index` of the op whose marshalled bytes have `digest`. */
export interface Input {
  readonly digest: Digest;
  readonly index: number;
}

/** A vertex of the LLB graph as data. Cyclic references cannot be written: an input is named by its digest. */
export interface Op {
  readonly inputs: readonly Input[];
  readonly platform?: Platform;
  /** containerd-style filters that a worker must match. */
  readonly constraints?: readonly string[];
  readonly action: OpAction;
}

export type OpAction =
  | ({ readonly kind: 'exec' } & ExecOp)
  | ({ readonly kind: 'source' } & SourceOp)
  | ({ readonly kind: 'file' } & FileOp)
  | ({ readonly kind: 'build' } & BuildOp)
  | ({ readonly kind: 'merge' } & MergeOp)
  | ({ readonly kind: 'diff' } & DiffOp)
  | ({ readonly kind: 'passthrough' } & PassthroughOp);

/** `identifier` has its scheme (`docker-image://…`, `local://…`); `attrs` are the source's own. */
export interface SourceOp {
  readonly identifier: string;
  readonly attrs: Readonly<Record<string, string>>;
}

export interface ExecOp {
  readonly meta: ExecMeta;
  readonly mounts: readonly ExecMount[];
  readonly network: NetworkMode;
  readonly security: SecurityMode;
  readonly secretEnv: readonly SecretEnv[];
  readonly devices: readonly { readonly name: string; readonly optional: boolean }[];
}

export type NetworkMode = 'sandbox' | 'host' | 'none';
export type SecurityMode = 'sandbox' | 'insecure';

export interface ExecMeta {
  readonly args: readonly string[];
  /** `KEY=value`, in order. */
  readonly env: readonly string[];
  readonly cwd: string;
  /** `user[:group]` by name or number; empty means root. */
  readonly user: string;
  readonly proxyEnv?: ProxyEnv;
  readonly extraHosts: readonly { readonly host: string; readonly ip: string }[];
  readonly hostname: string;
  readonly ulimits: readonly { readonly name: string; readonly soft: number; readonly hard: number }[];
  readonly cgroupParent: string;
  readonly removeMountStubsRecursive: boolean;
  /** Exit codes that count as success; empty means only 0. */
  readonly validExitCodes: readonly number[];
}

/** Proxy settings given to the process but left out of the cache key. */
export interface ProxyEnv {
  readonly httpProxy: string;
  readonly httpsProxy: string;
  readonly ftpProxy: string;
  readonly noProxy: string;
  readonly allProxy: string;
}

export interface SecretEnv {
  readonly id: string;
  readonly name: string;
  readonly optional: boolean;
}

/** An input index of a mount that has no input, or an output index of a mount that yields none. */
export const noIndex = -1;

export interface ExecMount {
  /** Index into the op's inputs, or `noIndex`. */
  readonly input: number;
  /** A path inside the input to mount instead of its root; empty for the root. */
  readonly selector: string;
  /** Where it is mounted; relative paths start at the process's working directory. */
  readonly dest: string;
  /** Index of the op's output that this mount becomes, or `noIndex`. */
  readonly output: number;
  readonly readonly: boolean;
  readonly resultId: string;
  /** Whether the input's content (rather than its definition) may serve as its cache key. */
  readonly contentCache: 'default' | 'on' | 'off';
  readonly type:
    | { readonly kind: 'bind' }
    /** `size` in bytes, 0 for no limit. */
    | { readonly kind: 'tmpfs'; readonly size: number }
    | { readonly kind: 'cache'; readonly id: string; readonly sharing: CacheSharing }
    | ({ readonly kind: 'secret' } & SecretMount)
    | ({ readonly kind: 'ssh' } & SecretMount);
}

export type CacheSharing = 'shared' | 'private' | 'locked';

export interface SecretMount {
  readonly id: string;
  readonly uid: number;
  readonly gid: number;
  readonly mode: number;
  readonly optional: boolean;
}

export interface FileOp {
  readonly actions: readonly FileAction[];
}

/**
 * One step of a file op. `input` and `secondaryInput` count the op's inputs first, then the results of
 * earlier actions (`inputs.length + n`). `output` is an output of the op, or `noIndex`.
 */
export interface FileAction {
  readonly input: number;
  readonly secondaryInput: number;
  readonly output: number;
  readonly change: FileChange;
}

export type FileChange =
  | ({ readonly kind: 'copy' } & FileCopy)
  | ({ readonly kind: 'mkfile' } & FileMkfile)
  | ({ readonly kind: 'mkdir' } & FileMkdir)
  | ({ readonly kind: 'symlink' } & FileSymlink)
  | ({ readonly kind: 'rm' } & FileRm);

/** Times are in nanoseconds since 1970, undefined to leave them to the file system (or the copied file). */
export interface FileCopy {
  readonly src: string;
  readonly dest: string;
  readonly owner?: Owner;
  /** Permission bits, undefined to keep the source's. */
  readonly mode?: number;
  /** A mode in symbolic form (`u+rwX,go=r`); empty for none. */
  readonly modeString: string;
  readonly followSymlink: boolean;
  readonly dirCopyContents: boolean;
  readonly unpackArchive: boolean;
  readonly createDestPath: boolean;
  readonly allowWildcard: boolean;
  readonly allowEmptyWildcard: boolean;
  readonly timestamp?: bigint;
  readonly includePatterns: readonly string[];
  readonly excludePatterns: readonly string[];
  readonly requiredPaths: readonly string[];
  readonly alwaysReplaceExistingDestPaths: boolean;
}

export interface FileMkfile {
  readonly path: string;
  readonly mode: number;
  readonly data: Uint8Array;
  readonly owner?: Owner;
  readonly timestamp?: bigint;
}

export interface FileMkdir {
  readonly path: string;
  readonly mode: number;
  readonly makeParents: boolean;
  readonly owner?: Owner;
  readonly timestamp?: bigint;
}

/** Creates `newPath` as a symbolic link that holds `oldPath`. */
export interface FileSymlink {
  readonly oldPath: string;
  readonly newPath: string;
  readonly owner?: Owner;
  readonly timestamp?: bigint;
}

export interface FileRm {
  readonly path: string;
  readonly allowNotFound: boolean;
  readonly allowWildcard: boolean;
}

export interface Owner {
  readonly user?: OwnerId;
  readonly group?: OwnerId;
}

/** A name is looked up in the passwd or group file of the op's input `input` (counted as in FileAction). */
export type OwnerId =
  | { readonly kind: 'id'; readonly id: number }
  | { readonly kind: 'name'; readonly name: string; readonly input: number };

/** Inputs laid on top of each other, first at the bottom. Each is an index into the op's inputs, or `noIndex` for scratch. */
export interface MergeOp {
  readonly inputs: readonly number[];
}

export interface DiffOp {
  readonly lower: number;
  readonly upper: number;
}

/** The builder that solves the definition in a file. */
export const llbBuilder = -1;
/** The name of the input that has the file, and of the file if the attribute `definitionFileAttribute` names no other. */
export const definitionInput = 'buildkit.llb.definition';
export const definitionFileAttribute = 'llbbuild.filename';

/** A build of what a definition says that is made while the build runs. */
export interface BuildOp {
  /** `llbBuilder`: there is no other. */
  readonly builder: number;
  /** Indexes into the op's inputs, by names that the builder knows. */
  readonly inputs: Readonly<Record<string, number>>;
  readonly definition?: Definition;
  readonly attrs: Readonly<Record<string, string>>;
}

export interface PassthroughOp {
  readonly id: string;
  readonly outputs: readonly number[];
}

/** What is said about a vertex without being part of its identity. */
export interface OpMetadata {
  readonly ignoreCache: boolean;
  readonly description: Readonly<Record<string, string>>;
  readonly exportCache?: boolean;
  readonly caps: Readonly<Record<string, boolean>>;
  readonly progressGroup?: ProgressGroup;
  readonly resources?: LinuxResources;
}

/** Where the vertices of a definition were written. */
export interface SourceMap {
  readonly files: readonly SourceFile[];
  readonly locations: ReadonlyMap<
    Digest,
    readonly { readonly file: number; readonly ranges: readonly Range[] }[]
  >;
}

export interface SourceFile {
  readonly filename: string;
  readonly language: string;
  readonly data: Uint8Array;
  /** The tree that the file was read from. */
  readonly definition?: Definition;
}

/**
 * A graph as clients send it and get it: marshalled ops, each named by the sha256 of its bytes. The last one is the terminal op,
 * which has no action, and the result as its only input.
 */
export interface Definition {
  readonly ops: readonly Uint8Array[];
  readonly metadata: ReadonlyMap<Digest, OpMetadata>;
  readonly source?: SourceMap;
  /** The message that it was read from, if it was. */
  readonly encoded?: Uint8Array;
}
