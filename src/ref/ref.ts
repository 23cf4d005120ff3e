import type { Digest } from '../base/digest.ts';
import type { ProgressWriter, WaitContext } from '../base/progress.ts';
import type { Compression, Descriptor } from '../oci/descriptor.ts';
import type { MediaTypeFamily } from '../oci/media-type.ts';
import type { SnapshotId, SnapshotMount } from '../snapshot/snapshot.ts';

/** The name of a record in the ref store. */
export type RefId = string & { readonly __ref: true };

export type RecordType =
  | 'regular'
  | 'internal'
  | 'frontend'
  | 'source.local'
  | 'source.git.checkout'
  | 'exec.cachemount';

export interface RecordOptions {
  readonly description: string;
  readonly type?: RecordType;
}

/** Files made visible at `path`. Disposing unmounts; a bind view of a plain directory costs nothing. */
export interface MountedView extends AsyncDisposable {
  readonly path: string;
}

/** A layer that is known by its blob and perhaps not here yet. */
export interface LayerBlob {
  readonly descriptor: Descriptor;
  /** The digest of the uncompressed tar. */
  readonly diffId: Digest;
  readonly createdAt?: Date;
  readonly description?: string;
}

/** Brings blobs of lazy layers into the content store; asked at most once at a time per blob. */
export interface BlobProvider {
  /** Where it gets them from. */
  readonly origin?: string;
  fetch(
    descriptor: Descriptor,
    context: { readonly signal: AbortSignal; readonly progress: ProgressWriter },
  ): Promise<void>;
  /** Whether whoever had the blobs is gone, so that there is no use in asking; by default nobody ever is. */
  isGone?(): boolean;
  /** Whether no build is left on whose behalf it was named; by default one always is. */
  isIdle?(): boolean;
}

/**
 * A handle to an immutable file tree. Handles are counted: the record stays alive (never pruned, its files kept)
 * until every handle is released. A released handle must not be used.
 */
export interface ImmutableRef {
  readonly id: RefId;
  /** Another handle to the same record. */
  clone(): ImmutableRef;
  release(): Promise<void>;
  /** The committed snapshot with the files; pulls and unpacks lazy layers first. */
  snapshot(context?: WaitContext): Promise<SnapshotId>;
  /** How to see the files read-only, for the executor, which mounts them itself. */
  snapshotMount(context?: WaitContext): Promise<SnapshotMount>;
  /** A read-only view. */
  mount(context?: WaitContext): Promise<MountedView>;
  /** Directories, bottom first, whose overlay gives the tree: what content checksums and copies read without a mount. */
  layerDirs(context?: WaitContext): Promise<readonly string[]>;
  /** The layers from the bottom up; one entry per layer blob that an image of this ref has. */
  layers(): readonly LayerInfo[];
  readonly description: string;
}

export interface LayerInfo {
  /** The record that holds this layer; equal ids mean equal layers. */
  readonly id: RefId;
  /** Blobs known so far, by compression. */
  readonly blobs: readonly LayerBlob[];
  readonly createdAt: Date;
  readonly description: string;
}

/** A handle to a tree that can be written, held by one owner. Released without `commit`, it is removed (unless retained). */
export interface MutableRef {
  readonly id: RefId;
  mount(): Promise<MountedView>;
  /** For the executor, which mounts it itself. */
  snapshotMount(): Promise<SnapshotMount>;
  /** A directory to write to without a mount, if this ref has no parent; undefined otherwise. */
  plainDir(): Promise<string | undefined>;
  commit(): Promise<ImmutableRef>;
  /**
   * Ends this handle like `commit`, but the tree may be written to again (`RefStore.thaw`). What is built on the ref, or made
   * of it, keeps the tree as it is for good.
   */
  freeze(): Promise<ImmutableRef>;
  release(): Promise<void>;
}

/** The store of refs: snapshots and blobs with their records, parents, sizes and uses. Every state change is one transaction. */
export interface RefStore extends AsyncDisposable {
  createMutable(
    parent: ImmutableRef | undefined,
    options: RecordOptions,
    context?: WaitContext,
  ): Promise<MutableRef>;
  /**
   * The tree of a frozen ref, to be written to in place, if nobody else holds it and nothing is built on it. Then `ref` ends, and
   * its id is gone: frozen again, the tree has another. Not frozen again, also because the process was killed, it is removed.
   */
  thaw(ref: ImmutableRef): Promise<MutableRef | undefined>;
  /** Whether there is a record of that id, as it was when it got it. */
  has(id: RefId): boolean;
  /** A handle to an existing record, or undefined when it is gone. */
  get(id: RefId): Promise<ImmutableRef | undefined>;
  /**
   * The tree of these layers, bottom first, extracted only when somebody needs the files. Records are shared with those who brought
   * the same blobs, and once they are unpacked with all whose diff ids are the same.
   */
  fromBlobs(
    layers: readonly LayerBlob[],
    provider: BlobProvider,
    options: RecordOptions,
  ): Promise<ImmutableRef>;
  merge(refs: readonly ImmutableRef[], options: RecordOptions): Promise<ImmutableRef>;
  diff(
    lower: ImmutableRef | undefined,
    upper: ImmutableRef | undefined,
    options: RecordOptions,
  ): Promise<ImmutableRef>;
  /** The empty tree. */
  scratch(): Promise<ImmutableRef>;
  /**
   * The blobs of `ref`'s layers, made (differed, compressed) where missing, in parallel. `force`: convert layers that
   * have another compression already. Lazy layers that need no conversion stay where they are.
   */
  blobs(ref: ImmutableRef, options: BlobOptions): Promise<readonly LayerBlob[]>;
  /** Brings a blob returned by `blobs` into the content store if it is not there yet. */
  ensureBlob(ref: ImmutableRef, blob: LayerBlob, context: WaitContext): Promise<void>;
  /**
   * A mutable tree that outlives builds under a key (cache mounts); a new one starts as `parent`. A key
   * counts together with its parent: with another one it names other trees.
   */
  acquireCacheDirectory(
    key: string,
    parent: ImmutableRef | undefined,
    options: CacheDirectoryOptions,
  ): Promise<CacheDirectory>;
  /**
   * Forgets the trees of a key, those that were made on a parent or the one that was not: who acquires the key next gets a new one.
   * Those in use are removed when they are released.
   */
  dropCacheDirectories(key: string, options: { readonly withParent: boolean }): Promise<void>;
  usage(filters?: readonly string[]): Promise<readonly UsageRecord[]>;
  /**
   * Removes records that nothing uses, as far as the options say, and yields each after it is gone. One at a time runs. Sizes are
   * those of the files; the disk has them back when all is yielded.
   */
  prune(options: PruneOptions): AsyncIterable<UsageRecord>;
  /** The record is of no more use: it is removed in the background, as soon as nobody holds it, unless something is built on it. */
  retire(id: RefId): void;
  /** Bytes of all records, as far as they are measured. */
  knownSize(): number;
}

/** What keeps blobs besides records: the images that a daemon has by name. */
export interface ImageIndex {
  list(): Promise<readonly NamedImage[]>;
  delete(name: string): Promise<void>;
  /** Whether some image needs the blob. */
  holds(digest: Digest): boolean;
}

export interface NamedImage {
  readonly name: string;
  readonly createdAt: Date;
  readonly blobs: readonly Digest[];
}

export interface CacheDirectoryOptions extends RecordOptions {
  readonly sharing: Sharing;
  /** Ends the wait for a locked tree, and the unpacking of `parent`. */
  readonly signal?: AbortSignal;
  readonly progress?: ProgressWriter;
}

export interface BlobOptions {
  readonly compression: Compression;
  /** Compression level, undefined for the format's default. */
  readonly level?: number;
  readonly force?: boolean;
  /** Clamp file times that are later than this (seconds since 1970). */
  readonly epoch?: number;
  readonly mediaTypes: MediaTypeFamily;
  readonly signal: AbortSignal;
  readonly progress: ProgressWriter;
}

/**
 * How a named tree is held:
 *  - `shared`: together with all others that share it;
 *  - `private`: alone; who comes while it is held gets another tree of the same key;
 *  - `locked`: alone; who comes while it is held waits.
 */
export type Sharing = 'shared' | 'private' | 'locked';

/** A named tree, held. `release` keeps its files for the next build. */
export interface CacheDirectory {
  readonly id: RefId;
  /** True when the tree was just created (from `parent`, or empty). */
  readonly fresh: boolean;
  readonly snapshotId: SnapshotId;
  mount(): Promise<MountedView>;
  /** For the executor, which mounts it itself. */
  snapshotMount(): Promise<SnapshotMount>;
  /** The tree's directory, to write to without a mount, if it has no parent; undefined otherwise. */
  plainDir(): Promise<string | undefined>;
  release(): Promise<void>;
}

export interface UsageRecord {
  readonly id: RefId;
  readonly type: RecordType;
  readonly mutable: boolean;
  readonly inUse: boolean;
  /** Bytes. */
  readonly size: number;
  readonly parents: readonly RefId[];
  readonly createdAt: Date;
  readonly lastUsedAt?: Date;
  readonly usageCount: number;
  readonly description: string;
  readonly shared: boolean;
}

/** Sizes in bytes, ages in milliseconds; zero or undefined: no such limit. */
export interface PruneOptions {
  readonly filters?: readonly string[];
  readonly all?: boolean;
  readonly keepDuration?: number;
  readonly reservedSpace?: number;
  readonly maxUsedSpace?: number;
  readonly minFreeSpace?: number;
  readonly signal?: AbortSignal;
}
