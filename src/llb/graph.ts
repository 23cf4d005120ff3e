import type { Digest } from '../base/digest.ts';
import type { Definition, Input, Op, OpMetadata, SourceMap } from './op.ts';

/** A vertex of a graph: its op, and what is said about it. */
export interface OpVertex {
  /** Of the op's marshalled bytes. */
  readonly digest: Digest;
  readonly op: Op;
  readonly metadata: OpMetadata;
  /** The marshalled op, where it is at hand. */
  readonly bytes?: Uint8Array;
  /**
   * Whether the op was read from `bytes`. Then only they have the digest for certain: what a newer client wrote into
   * them can be missing from `op`. `marshalOp` makes the bytes of all other ops again.
   */
  readonly read?: boolean;
}

/** The vertices that a result needs, as typed data. */
export interface OpGraph {
  /** Inputs before their users. */
  readonly vertices: ReadonlyMap<Digest, OpVertex>;
  /** Undefined for the empty tree. */
  readonly result: Input | undefined;
  /** Where the vertices were written. */
  readonly source?: SourceMap;
  /** The definition that the graph was read from, if it was. */
  readonly definition?: Definition;
}

/** What is known of a vertex about which a definition says nothing. */
export const emptyMetadata: OpMetadata = Object.freeze({ ignoreCache: false, description: {}, caps: {} });
