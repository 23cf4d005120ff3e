import type { Digest } from '../base/digest.ts';
import type { KilnError } from '../base/errors.ts';
import type { WaitContext } from '../base/progress.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import type { PartialFiles, SnapshotMount } from '../snapshot/snapshot.ts';

/** The id of a tree in the ref store. A tree that was thawed has another one when it is frozen again. */
export type RefId = string & { readonly __ref: true };

export type RecordType =
  | 'regular'
  | 'internal'
  | 'frontend'
  | 'source.local'
  | 'source.git.checkout'
  | 'exec.cachemount'
  /** What a failed step leaves, to be looked into. It does not survive a restart. */
  | 'failed.step';

/** How `du` shows a record. */
export interface RecordOptions {
  readonly description: string;
  /** `regular` by default. */
  readonly type?: RecordType;
}

/** Files made visible at `path`. Disposing unmounts; a bind view of a plain directory costs nothing. */
export interface MountedView extends AsyncDisposable {
  readonly path: string;
  /** Where some of the files come over the network while they are read. */
  readonly partlyHere?: PartialFiles;
}

/** Work that reads a tree some of whose files come over the network meanwhile. It ends when it is disposed. */
export interface TreeReader extends Disposable {
  /** Why a read has failed since it began. */
  failure(): KilnError | undefined;
}

/**
 * A handle to an immutable file tree. Handles are counted: the record stays alive (never pruned, its files kept)
 * until every handle is released. A released handle must not be used.
 *
 * Methods that need the files first fetch and unpack the layers that are still lazy.
 */
export interface ImmutableRef {
  readonly id: RefId;
  readonly description: string;
  /** Returns another handle to the same record. */
  clone(): ImmutableRef;
  release(): Promise<void>;
  /** Returns how to mount the files read-only, for a caller that mounts them itself. */
  snapshotMount(context?: WaitContext): Promise<SnapshotMount>;
  /** Returns a read-only view, all files of which are here. */
  mount(context?: WaitContext): Promise<MountedView>;
  /** Returns a read-only view, some files of which may come over the network while they are read (`MountedView.partlyHere`). */
  mountPartly(context?: WaitContext): Promise<MountedView>;
  /**
   * Returns the directories, bottom first, whose overlay is the tree: content checksums read them without a mount. Some files may come over the network
   * while they are read: they are for threads, see `PartialFiles`.
   */
  layerDirs(context?: WaitContext): Promise<readonly string[]>;
  /**
   * Registers work that reads files of the tree, if some may come over the network meanwhile. Once `signal` aborts, its threads wait for them no more.
   */
  reader(signal: AbortSignal): TreeReader | undefined;
  /** Returns the layers from the bottom up; one entry per layer blob that an image of this ref has. */
  layers(): readonly LayerInfo[];
}

/** A layer as a blob, which need not be in the content store. */
export interface LayerBlob {
  readonly descriptor: Descriptor;
  /** The digest of the uncompressed tar. */
  readonly diffId: Digest;
  readonly createdAt?: Date;
  readonly description?: string;
}

export interface LayerInfo {
  /** The record that holds this layer; equal ids mean equal layers. */
  readonly id: RefId;
  /** The blobs known so far, in whatever compression. */
  readonly blobs: readonly LayerBlob[];
  readonly createdAt: Date;
  readonly description: string;
}

/** A handle to a tree that can be written to. A released handle must not be used. */
export interface WritableTree {
  readonly id: RefId;
  /** Some files of a tree with a parent may come over the network while they are read (`MountedView.partlyHere`). */
  mount(): Promise<MountedView>;
  /** Returns how to mount the files, for a caller that mounts them itself. */
  snapshotMount(): Promise<SnapshotMount>;
  /** Returns the directory to write to without a mount if the tree has no parent, undefined otherwise. */
  plainDir(): Promise<string | undefined>;
  release(): Promise<void>;
}

/** The one handle to a tree that is being made. `commit` and `freeze` end it; released before that, the tree is removed. */
export interface MutableRef extends WritableTree {
  /** `type` replaces the one that the record was made with. */
  commit(type?: RecordType): Promise<ImmutableRef>;
  /**
   * Ends this handle like `commit`, but the tree may be written to again (`TreeReuse.thaw`) as long as nothing is built on
   * it and no blob is made of it.
   */
  freeze(): Promise<ImmutableRef>;
}
