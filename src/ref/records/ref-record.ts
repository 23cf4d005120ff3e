import { randomBytes } from 'node:crypto';
import type { Digest } from '../../base/digest.ts';
import { type SnapshotId, type Snapshotter, snapshotId } from '../../snapshot/snapshot.ts';
import type { LayerBlob, RecordOptions, RecordType, RefId } from '../ref.ts';

/** How a tree came to be, from which other records; these live as long as it does. */
export type RecordOrigin =
  | { readonly kind: 'layer'; readonly parent?: RefId }
  | { readonly kind: 'merge'; readonly parents: readonly RefId[] }
  | { readonly kind: 'diff'; readonly lower?: RefId; readonly upper: RefId };

/**
 *   mutable ──freeze──► frozen ──finalize──► committed
 *      ▲                  │
 *      └────── thaw ──────┘
 *
 * Cache directories stay mutable.
 */
export type RecordState = 'mutable' | 'frozen' | 'committed';

/** A layer blob of a record. */
export interface StoredBlob extends LayerBlob {
  /** The epoch that its file times were clamped to, if any. Seconds since 1970. */
  readonly epoch?: number;
}

/** One tree of the store. */
export interface RefRecord {
  readonly id: RefId;
  readonly origin: RecordOrigin;
  type: RecordType;
  readonly description: string;
  readonly createdAt: Date;
  /** For a layer that came as a blob: its OCI chain id, as the image's config claims. */
  readonly chainId?: Digest;
  /**
   * Whether the chain id is known to be true: `unpacked` when the files came out of the blobs, `refuted` when other files did.
   * A record that is only `claimed` is given to nobody but those who brought the same blobs.
   */
  claim: 'claimed' | 'unpacked' | 'refuted';
  /** The name of a cache directory: its key, and its parent if it has one. */
  name?: string;
  /** How often the tree was frozen. The generation is part of the public id. */
  generation: number;
  state: RecordState;
  blobs: readonly StoredBlob[];
  /** Bytes of the snapshot; undefined until it is measured. */
  size?: number;
  lastUsedAt?: Date;
  usageCount: number;
  /** The number of handles that are not released. */
  handles: number;
}

export interface NewRecord extends RecordOptions {
  readonly origin: RecordOrigin;
  readonly state: RecordState;
  readonly chainId?: Digest;
  readonly name?: string;
  readonly createdAt?: Date;
  readonly blobs?: readonly StoredBlob[];
}

/** The empty tree has a record that is never stored, listed or removed. */
export const scratchId = 'scratch' as RefId;

export function scratchRecord(): RefRecord {
  return newRecord(scratchId, {
    origin: { kind: 'merge', parents: [] },
    state: 'committed',
    description: 'the empty tree',
    type: 'internal',
  });
}

export function newRecord(id: RefId, options: NewRecord): RefRecord {
  const { origin, state, description, type, chainId, name, createdAt, blobs } = options;
  return {
    id,
    origin,
    state,
    description,
    type: type ?? 'regular',
    createdAt: createdAt ?? new Date(),
    chainId,
    claim: 'claimed',
    name,
    generation: 0,
    blobs: blobs ?? [],
    size: undefined,
    lastUsedAt: undefined,
    usageCount: 0,
    handles: 0,
  };
}

/** Returns a new id: 25 characters of `[a-z0-9]` with 128 random bits. */
export function newRefId(): RefId {
  return BigInt(`0x${randomBytes(16).toString('hex')}`)
    .toString(36)
    .padStart(25, '0') as RefId;
}

/** A record's snapshot has the id of the record. */
export function snapshotOf(record: RefRecord): SnapshotId {
  return snapshotId(record.id);
}

/** Returns whether the record's files are on the disk, whole unless the record is being written. */
export async function hasFiles(record: RefRecord, snapshotter: Snapshotter): Promise<boolean> {
  const info = await snapshotter.stat(snapshotOf(record));
  return info !== undefined && (info.state === 'committed' || record.state !== 'committed');
}

/** The id that the outside knows the record by: it names the generation, too, so that a tree that was thawed has another one. */
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
