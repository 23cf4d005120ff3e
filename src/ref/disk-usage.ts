import type { Digest } from '../base/digest.ts';
import type { RecordType, RefId } from './ref.ts';

/** What the trees take on the disk, and how to get it back. */
export interface DiskUsage {
  /** Returns the records that pass the filters (`usage/record-filter.ts`), and what holds blobs besides records. */
  list(filters?: readonly string[]): Promise<readonly UsageRecord[]>;
  /**
   * Removes records that nothing uses, as far as the options say, and yields each after it is gone. One call runs at a time; the
   * others wait. Sizes are those of the files; when the last record is yielded, the space is free.
   */
  prune(options: PruneOptions): AsyncIterable<UsageRecord>;
  /**
   * Deletes those of the blobs that neither a record nor an image has; while something is being built, which may be about to use
   * them, only once nothing is. Returns the bytes that are free at once.
   */
  release(blobs: readonly Digest[]): Promise<number>;
  /** Returns the bytes of all records that are measured. */
  knownSize(): number;
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
  /** Whether an image in the image index needs the record. */
  readonly shared: boolean;
}

/** Sizes in bytes, ages in milliseconds; zero or undefined: no such limit. */
export interface PruneOptions {
  readonly filters?: readonly string[];
  /** Prunes internal records, frontends and images, too. */
  readonly all?: boolean;
  /** Keeps what was used within this time. */
  readonly keepDuration?: number;
  /** Bytes that are always left. */
  readonly reservedSpace?: number;
  readonly maxUsedSpace?: number;
  /** Bytes that should be free on the disk. */
  readonly minFreeSpace?: number;
  readonly signal?: AbortSignal;
}

/** The images that the daemon keeps by name. Their blobs stay without a record, too. */
export interface ImageIndex {
  list(): Promise<readonly NamedImage[]>;
  delete(name: string): Promise<void>;
  /** Returns whether some image needs the blob. */
  holds(digest: Digest): boolean;
}

export interface NamedImage {
  readonly name: string;
  readonly createdAt: Date;
  readonly blobs: readonly Digest[];
  /** Whether it can be had from elsewhere. One that cannot is in use: it is never pruned. */
  readonly isElsewhere: boolean;
}
