import type { WaitContext } from '../base/progress.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import type { ImmutableRef, MutableRef, RecordOptions, RefId } from './ref.ts';

/** Finds trees by their ids. */
export interface RefLookup {
  /** Returns whether the record exists and is still in the generation that the id names (see `TreeReuse.thaw`). */
  has(id: RefId): boolean;
  /** Returns a new handle, or undefined when the record is gone or its files can no longer be fetched. */
  get(id: RefId): Promise<ImmutableRef | undefined>;
}

/** Tells of trees without using them: neither their last use nor their number of uses changes. */
export interface LayerLookup {
  /** Returns a blob of each layer, bottom first, or undefined when a layer has none or the record is gone. */
  layerBlobs(id: RefId): readonly Descriptor[] | undefined;
}

/** Makes new trees. */
export interface RefFactory {
  /** Returns the empty tree. */
  scratch(): Promise<ImmutableRef>;
  /** Returns a tree to write to, which starts as `parent` or empty. */
  createMutable(
    parent: ImmutableRef | undefined,
    options: RecordOptions,
    context?: WaitContext,
  ): Promise<MutableRef>;
  /** Stacks the trees, bottom first. Throws `resource_exhausted` when merges inside it have too many trees. */
  merge(refs: readonly ImmutableRef[], options: RecordOptions): Promise<ImmutableRef>;
  /** Returns the tree of what `upper` changes against `lower`; undefined is the empty tree. */
  diff(
    lower: ImmutableRef | undefined,
    upper: ImmutableRef | undefined,
    options: RecordOptions,
  ): Promise<ImmutableRef>;
}

/** Replaces trees by newer versions of themselves. */
export interface TreeReuse {
  /**
   * Returns the frozen tree of `ref` to be written to in place, or undefined if somebody else holds it or something is built on it.
   * `ref` ends, and its id is gone: frozen again, the tree has another one. A tree that is not frozen again is removed, at the
   * latest at the next start.
   */
  thaw(ref: ImmutableRef): Promise<MutableRef | undefined>;
  /** Removes the record in the background as soon as nobody holds it, unless something is built on it. */
  retire(id: RefId): void;
}

/** Trees with their records: parents, layers, sizes and uses. Every change of state is one transaction. */
export interface RefStore extends RefLookup, LayerLookup, RefFactory, TreeReuse {}
