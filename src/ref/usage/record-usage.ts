import { statfs } from 'node:fs/promises';
import { setImmediate } from 'node:timers/promises';
import { Semaphore, throwIfAborted } from '../../base/async/lifetime.ts';
import type { Digest } from '../../base/digest.ts';
import type { ContentStore } from '../../content/content.ts';
import type { ImageIndex, PruneOptions, UsageRecord } from '../ref.ts';
import { parentsOf, type RefRecord } from '../ref-record.ts';
import type { RefRecords } from '../ref-records.ts';
import type { OrphanBlobs } from './orphan-blobs.ts';
import { PriorityQueue } from './priority-queue.ts';
import { pruneScores } from './prune-order.ts';
import { parseRecordFilter, type RecordFilter } from './record-filter.ts';
import type { RecordSizes } from './record-sizes.ts';

export interface RecordUsageOptions {
  /** A directory on the file system whose free space counts. */
  readonly root: string;
  readonly records: RefRecords;
  readonly sizes: RecordSizes;
  readonly content: ContentStore;
  readonly images: ImageIndex;
  readonly orphans: OrphanBlobs;
  readonly onRemoved: (record: RefRecord) => void;
  readonly onPruned?: () => void;
}

/** So many records are removed in one transaction. */
const batchSize = 16;
/** So many records are looked at before other work gets its turn. */
const sliceSize = 1000;

/** What the store takes, and taking it back. */
export class RecordUsage {
  readonly #options: RecordUsageOptions;
  readonly #pruning = new Semaphore(1);

  constructor(options: RecordUsageOptions) {
    this.#options = options;
  }

  async list(filters: readonly string[] = []): Promise<UsageRecord[]> {
    const matches = parseRecordFilter(filters);
    const { records, sizes, images, orphans } = this.#options;
    await sizes.settle(records.all());
    const blobs = await this.#blobSizes();
    const all = [...records.all()];
    const inUse = this.#withAncestors((record) => record.handles > 0);
    const shared = this.#withAncestors((record) =>
      record.blobs.some(({ descriptor }) => images.holds(descriptor.digest)),
    );
    const listed: UsageRecord[] = [];
    for (const [index, record] of all.entries()) {
      if (index % sliceSize === sliceSize - 1) await setImmediate();
      const usage = describe(record, {
        inUse: inUse.has(record),
        shared: shared.has(record),
        size: this.#sizeOf(record, blobs),
      });
      if (matches(usage)) listed.push(usage);
    }
    for (const { usage } of await orphans.list(blobs)) if (matches(usage)) listed.push(usage);
    return listed;
  }

  /**
   * Follows `buildkitd`: without space limits everything that matches goes. With them it goes in the order of `pruneScores` until the
   * total is below what may be kept, and the disk has the free space that is asked for. A record becomes prunable when nothing is
   * built on it any more. Images kept by name, and documents, go last, and only with `all`.
   */
  async *prune(options: PruneOptions): AsyncGenerator<UsageRecord> {
    using _permit = await this.#pruning.acquire(options.signal);
    const { records, sizes, onPruned } = this.#options;
    using _end = { [Symbol.dispose]: () => onPruned?.() };
    const matches = parseRecordFilter(options.filters ?? []);
    const isLimited = Boolean(options.maxUsedSpace || options.reservedSpace || options.minFreeSpace);
    for (;;) {
      await sizes.settle(records.all());
      const blobs = await this.#blobSizes();
      let removed = 0;
      for await (const usage of this.#pruneOnce(options, matches, isLimited, blobs)) {
        removed++;
        yield usage;
      }
      await sizes.deleted();
      // Files that others share free nothing, and others write meanwhile: look whether it is enough.
      if (!isLimited || removed === 0) return;
    }
  }

  async *#pruneOnce(
    options: PruneOptions,
    matches: RecordFilter,
    isLimited: boolean,
    blobs: ReadonlyMap<Digest, number>,
  ): AsyncGenerator<UsageRecord> {
    const { records, orphans, onRemoved, sizes } = this.#options;
    const isWanted = this.#wanted(options, matches);
    const holders = options.all || isLimited ? await orphans.list(blobs) : [];
    let total = holders.reduce((sum, { usage }) => sum + usage.size, 0);
    const candidates: RefRecord[] = [];
    for (const [index, record] of [...records.all()].entries()) {
      if (index % sliceSize === sliceSize - 1) await setImmediate();
      total += this.#sizeOf(record, blobs);
      if (isWanted(record)) candidates.push(record);
    }
    const keep = isLimited ? await this.#bytesToKeep(total, options) : 0;
    const isEnough = () => keep !== 0 && total < keep;
    if (isEnough()) return;

    const scores = pruneScores(candidates);
    await setImmediate();
    const queue = new PriorityQueue<RefRecord>((record) => scores.get(record)!);
    for (const record of candidates) if (records.isPrunable(record)) queue.push(record);
    while (!isEnough()) {
      throwIfAborted(options.signal);
      const batch: RefRecord[] = [];
      const gone: UsageRecord[] = [];
      while (batch.length < batchSize && !isEnough()) {
        const record = queue.pop();
        if (!record) break;
        if (!records.isPrunable(record) || !isWanted(record)) continue;
        const size = this.#sizeOf(record, blobs);
        const parents = new Set(records.parents(record));
        gone.push(describe(record, { inUse: false, shared: false, size }));
        records.detach(record);
        batch.push(record);
        total -= size;
        for (const parent of parents)
          if (scores.has(parent) && records.isPrunable(parent)) queue.push(parent);
      }
      if (batch.length === 0) break;
      const removals = await records.erase(batch);
      for (const [index, record] of batch.entries()) {
        sizes.removed(removals[index]!);
        onRemoved(record);
      }
      await records.deleteBlobs(batch);
      yield* gone;
      await setImmediate();
    }
    if (!options.all) return;
    for (const { usage, remove } of holders) {
      throwIfAborted(options.signal);
      if (isEnough()) return;
      if (usage.inUse || isRecent(usage, options) || !matches(usage) || !(await remove())) continue;
      total -= usage.size;
      yield usage;
    }
  }

  #wanted(options: PruneOptions, matches: RecordFilter): (record: RefRecord) => boolean {
    return (record) =>
      (options.all || (record.type !== 'internal' && record.type !== 'frontend')) &&
      !isRecent(record, options) &&
      matches(describe(record, { inUse: record.handles > 0, shared: false, size: 0 }));
  }

  /** Bytes of what is measured: snapshots, and blobs by what their descriptors say. */
  knownSize(): number {
    const { records } = this.#options;
    let size = 0;
    for (const record of records.all()) {
      size += record.size ?? 0;
      for (const { descriptor } of record.blobs) size += descriptor.size;
    }
    return size;
  }

  /** The records that are meant, and everything they are built on. */
  #withAncestors(isMeant: (record: RefRecord) => boolean): Set<RefRecord> {
    const { records } = this.#options;
    const found = new Set<RefRecord>();
    const pending = [...records.all()].filter(isMeant);
    for (let at = pending.pop(); at; at = pending.pop()) {
      if (found.has(at)) continue;
      found.add(at);
      pending.push(...records.parents(at));
    }
    return found;
  }

  /** Bytes of the record's snapshot and of those of its blobs that are here. What is being written counts nothing. */
  #sizeOf(record: RefRecord, blobs: ReadonlyMap<Digest, number>): number {
    const { records, sizes } = this.#options;
    return sizes.of(record) + records.blobSize(record, blobs);
  }

  async #blobSizes(): Promise<Map<Digest, number>> {
    const sizes = new Map<Digest, number>();
    for await (const { digest, size } of this.#options.content.list()) sizes.set(digest, onDisk(size));
    return sizes;
  }

  /** As many bytes as may stay; 0 when there is no such limit. Free space missing is taken from what is used, reserved space never. */
  async #bytesToKeep(total: number, options: PruneOptions): Promise<number> {
    const { maxUsedSpace = 0, reservedSpace = 0, minFreeSpace = 0 } = options;
    let keep = maxUsedSpace;
    if (minFreeSpace > 0) {
      const { bfree, bsize } = await statfs(this.#options.root);
      const missing = minFreeSpace - bfree * bsize;
      if (missing > 0) keep = Math.max(1, keep === 0 ? total - missing : Math.min(keep, total - missing));
      else if (keep === 0) keep = total + 1;
    }
    return Math.max(keep, reservedSpace);
  }
}

function isRecent({ lastUsedAt }: { readonly lastUsedAt?: Date }, { keepDuration }: PruneOptions): boolean {
  return Boolean(keepDuration && lastUsedAt && lastUsedAt.getTime() > Date.now() - keepDuration);
}

/** File systems give space in blocks. */
function onDisk(size: number): number {
  return Math.ceil(size / 4096) * 4096;
}

function describe(
  record: RefRecord,
  now: { readonly inUse: boolean; readonly shared: boolean; readonly size: number },
): UsageRecord {
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
    shared: now.shared,
  };
}
