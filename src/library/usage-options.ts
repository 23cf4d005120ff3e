export interface CallOptions {
  readonly signal?: AbortSignal;
}

/** What BuildKit's filters select: `type==exec.cachemount`, `id~=^abc`. A record that one of them matches counts. */
export interface UsageOptions extends CallOptions {
  readonly filters?: readonly string[];
}

/** Something in the build cache. */
export interface UsageRecord {
  readonly id: string;
  readonly parents: readonly string[];
  readonly description: string;
  /** `regular`, `source.local`, `exec.cachemount`, … */
  readonly type: string;
  /** In bytes, without what its parents have. */
  readonly size: number;
  readonly inUse: boolean;
  readonly mutable: boolean;
  readonly shared: boolean;
  readonly createdAt?: Date;
  readonly lastUsedAt?: Date;
  readonly usageCount: number;
}

/** What goes: without limits everything that is not in use. Sizes in bytes. */
export interface PruneOptions extends UsageOptions {
  /** Also what the daemon itself still needs for later: frontends, and images that are kept. */
  readonly all?: boolean;
  /** Keep what was used less long ago, in milliseconds. */
  readonly keepDuration?: number;
  readonly reservedSpace?: number;
  readonly maxUsedSpace?: number;
  readonly minFreeSpace?: number;
}
