import { statfs } from 'node:fs/promises';
import { setImmediate } from 'node:timers/promises';
import type { Digest } from '../base/digest.ts';
import { mapLimit, Semaphore, throwIfAborted } from '../base/lifetime.ts';
import type { ContentStore } from '../content/content.ts';
import type { Snapshotter } from '../snapshot/snapshot.ts';
import { PriorityQueue } from './priority-queue.ts';
import { pruneScores } from './prune-order.ts';
import { parseRecordFilter } from './record-filter.ts';
import type { PruneOptions, UsageRecord } from './ref.ts';
import { parentsOf, type RefRecord, snapshotOf } from './ref-record.ts';
import type { RefRecords } from './ref-records.ts';

export interface RecordUsageOptions {
  /** A directory on the file system whose free space counts. */
  readonly root: string;
  readonly records: RefRecords;
  readonly snapshotter: Snapshotter;
  readonly content: ContentStore;
  /** How many snapshots are measured at once. */
  readonly parallelism: number;
  readonly onRemoved: (record: RefRecord) => void;
}

/** How many records are removed before other work gets its turn. */
const batch = 16;

/** What the store takes, and taking it back. */
export class RecordUsage {
  readonly #options: RecordUsageOptions;
  readonly #pruning = new Semaphore(1);

  constructor(options: RecordUsageOptions) {
    this.#options = options;
  }

  async list(filters: readonly string[] = []): Promise<UsageRecord[]> {
    const matches = parseRecordFilter(filters);
    const inUse = this.#inUse();
    const records = [...this.#options.records.all()];
    // Filters do not look at sizes, so only what is shown is measured.
    const shown = records.filter((record) =>
      matches(describe(record, { inUse: inUse.has(record), size: 0 })),
    );
    const sizes = await this.#measure(shown);
    return shown.map((record) =>
      describe(record, { inUse: inUse.has(record), size: sizes.get(record) ?? 0 }),
    );
  }

  /**
   * Follows `buildkitd`: without space limits everything that matches goes. With them it goes in the order of `pruneScores` until the
   * total is below what may be kept. A record becomes prunable when nothing is built on it any more.
   */
  async *prune(options: PruneOptions): AsyncGenerator<UsageRecord> {
    using _permit = await this.#pruning.acquire(options.signal);
    const { records } = this.#options;
    const matches = parseRecordFilter(options.filters ?? []);
    const usedBefore = Date.now() - (options.keepDuration ?? 0);
    const isWanted = (record: RefRecord): boolean =>
      (options.all || (record.type !== 'internal' && record.type !== 'frontend')) &&
      !(options.keepDuration && record.lastUsedAt && record.lastUsedAt.getTime() > usedBefore) &&
      matches(describe(record, { inUse: record.handles > 0, size: 0 }));

    const all = [...records.all()];
    const sizes = hasLimits(options) ? await this.#measure(all) : new Map<RefRecord, number>();
    let total = sizes.values().reduce((sum, size) => sum + size, 0);
    const keep = hasLimits(options) ? await this.#bytesToKeep(total, options) : 0;
    const isEnough = () => keep !== 0 && total < keep;

    const scores = pruneScores(all.filter(isWanted));
    const queue = new PriorityQueue<RefRecord>((record) => scores.get(record)!);
    for (const record of scores.keys()) if (records.isPrunable(record)) queue.push(record);

    for (let removed = 0, record = queue.pop(); record && !isEnough(); record = queue.pop()) {
      throwIfAborted(options.signal);
      if (!records.isPrunable(record) || !isWanted(record)) continue;
      const size = sizes.get(record) ?? (await this.#measure([record])).get(record) ?? 0;
      if (!records.isPrunable(record)) continue;
      const gone = describe(record, { inUse: false, size });
      const parents = records.parents(record);
      await records.remove(record);
      this.#options.onRemoved(record);
      total -= size;
      for (const parent of new Set(parents)) {
        if (scores.has(parent) && records.isPrunable(parent)) queue.push(parent);
      }
      yield gone;
      if (++removed % batch === 0) await setImmediate();
    }
  }

  /** Records with a handle, and everything they are built on. */
  #inUse(): Set<RefRecord> {
    const { records } = this.#options;
    const found = new Set<RefRecord>();
    const pending = [...records.all()].filter((record) => record.handles > 0);
    for (let at = pending.pop(); at; at = pending.pop()) {
      if (found.has(at)) continue;
      found.add(at);
      pending.push(...records.parents(at));
    }
    return found;
  }

  /** Bytes of the records' snapshots and of those of their blobs that are here. What is being written counts nothing. */
  async #measure(records: readonly RefRecord[]): Promise<Map<RefRecord, number>> {
    const blobs = records.some((record) => record.blobs.length > 0) ? await this.#blobSizes() : undefined;
    const measured = await mapLimit(records, this.#options.parallelism, async (record) => {
      const ofBlobs = record.blobs.reduce(
        (sum, { descriptor }) => sum + (blobs?.get(descriptor.digest) ?? 0),
        0,
      );
      return [record, (await this.#snapshotSize(record)) + ofBlobs] as const;
    });
    return new Map(measured);
  }

  async #snapshotSize(record: RefRecord): Promise<number> {
    if (record.size !== undefined) return record.size;
    if (record.state === 'mutable' && record.handles > 0) return 0;
    const { records, snapshotter } = this.#options;
    const info = await snapshotter.stat(snapshotOf(record));
    if (!info || (info.state === 'active' && record.state === 'committed')) return 0;
    const { size } = await snapshotter.usage(snapshotOf(record));
    if (record.state !== 'mutable' || record.handles === 0) records.setSize(record, size);
    return size;
  }

  async #blobSizes(): Promise<Map<Digest, number>> {
    const sizes = new Map<Digest, number>();
    for await (const { digest, size } of this.#options.content.list()) sizes.set(digest, size);
    return sizes;
  }

  /** As many bytes as may stay; 0 when there is no such limit. Free space missing is taken from what is used, reserved space never. */
  async #bytesToKeep(total: number, options: PruneOptions): Promise<number> {
    const { maxUsedSpace = 0, reservedSpace = 0, minFreeSpace = 0 } = options;
    let keep = maxUsedSpace;
    if (minFreeSpace > 0) {
      const { bfree, bsize } = await statfs(this.#options.root);
      const missing = minFreeSpace - bfree * bsize;
      if (missing > 0) keep = keep === 0 ? total - missing : Math.min(keep, total - missing);
      else if (keep === 0) keep = total + 1;
    }
    return Math.max(keep, reservedSpace);
  }
}

function hasLimits({ maxUsedSpace, reservedSpace, minFreeSpace }: PruneOptions): boolean {
  return Boolean(maxUsedSpace || reservedSpace || minFreeSpace);
}

function describe(record: RefRecord, now: { readonly inUse: boolean; readonly size: number }): UsageRecord {
  return {
    id: record.id,
    type: record.type,
    mutable: record.state !== 'committed',
    inUse: now.inUse,
    size: now.size,
    parents: parentsOf(record.origin),
    createdAt: record.createdAt,
    ...(record.lastUsedAt ? { lastUsedAt: record.lastUsedAt } : {}),
    usageCount: record.usageCount,
    description: record.description,
    shared: false,
  };
}
