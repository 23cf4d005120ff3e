import { randomBytes } from 'node:crypto';
import type { Digest } from '../base/digest.ts';
import { type SnapshotId, snapshotId } from '../snapshot/snapshot.ts';
import type { LayerBlob, RecordType, RefId } from './ref.ts';

/** How a tree came to be, and the records it needs for that; they live as long as it does. */
export type RecordOrigin =
  | { readonly kind: 'layer'; readonly parent?: RefId }
  | { readonly kind: 'merge'; readonly parents: readonly RefId[] }
  | { readonly kind: 'diff'; readonly lower?: RefId; readonly upper: RefId };

/**
 *   mutable ──freeze──► frozen ──finalize──► committed
 *      ▲                  │
 *      └────── thaw ──────┘
 *
 * Named trees are mutable for as long as they have their name.
 */
export type RecordState = 'mutable' | 'frozen' | 'committed';

/** A layer blob, with how it was made. */
export interface StoredBlob extends LayerBlob {
  /** The epoch its file times were clamped to, if any. */
  readonly epoch?: number;
}

/** One tree of the store. */
export interface RefRecord {
  readonly id: RefId;
  readonly origin: RecordOrigin;
  readonly type: RecordType;
  readonly description: string;
  readonly createdAt: Date;
  /** For a layer that came as a blob: the OCI chain id of it with all below, as the image's config claims. */
  readonly chainId?: Digest;
  /**
   * Whether the claim is known to be true: `unpacked`, when the files came out of the blobs, or `refuted`, when something else did.
   * Nobody but who brought the same blobs may get a record that is only `claimed`.
   */
  claim: 'claimed' | 'unpacked' | 'refuted';
  /** The name of a mutable tree that outlives builds. */
  name?: string;
  /** How often the tree was frozen; part of the id under which its frozen state is known. */
  generation: number;
  state: RecordState;
  blobs: readonly StoredBlob[];
  /** Bytes of the snapshot; undefined until it is measured. */
  size?: number;
  lastUsedAt?: Date;
  usageCount: number;
  /** Handles given out. */
  handles: number;
}

/** A new name: 25 characters of `[a-z0-9]`, 128 bits of chance. */
export function newRefId(): RefId {
  return BigInt(`0x${randomBytes(16).toString('hex')}`)
    .toString(36)
    .padStart(25, '0') as RefId;
}

/** A record's snapshot has the record's name. */
export function snapshotOf(record: RefRecord): SnapshotId {
  return snapshotId(record.id);
}

/** The id under which a record's present state is known outside: one that was thawed has another when it is frozen again. */
export function publicId(record: RefRecord): RefId {
  return record.generation === 0 ? record.id : (`${record.id}.${record.generation}` as RefId);
}

export function parentsOf(origin: RecordOrigin): readonly RefId[] {
  switch (origin.kind) {
    case 'layer':
      return origin.parent === undefined ? [] : [origin.parent];
    case 'merge':
      return origin.parents;
    case 'diff':
      return origin.lower === undefined ? [origin.upper] : [origin.lower, origin.upper];
    default:
      return origin satisfies never;
  }
}
