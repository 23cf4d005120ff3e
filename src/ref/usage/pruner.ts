import { statfs } from 'node:fs/promises';
import { setImmediate } from 'node:timers/promises';
import { Semaphore, throwIfAborted } from '../../base/async/lifetime.ts';
import type { Digest } from '../../base/digest.ts';
import type { ContentStore } from '../../content/content.ts';
import type { PruneOptions, UsageRecord } from '../disk-usage.ts';
import type { RecordLifecycle } from '../handles/record-lifecycle.ts';
import type { OrphanBlobs } from '../records/orphan-blobs.ts';
import type { RecordSizes } from '../records/record-sizes.ts';
import type { RefRecord } from '../records/ref-record.ts';
import type { RefRecords } from '../records/ref-records.ts';
import { PriorityQueue } from './priority-queue.ts';
import { pruneScores } from './prune-order.ts';
import { parseRecordFilter, type RecordFilter } from './record-filter.ts';
import { blobSizes, usageOf } from './usage-record.ts';

export interface PrunerOptions {
  /** A directory on the file system whose free space counts. */
  readonly root: string;
  readonly records: RefRecords;
  readonly lifecycle: RecordLifecycle;
  readonly sizes: RecordSizes;
  readonly content: ContentStore;
  readonly orphans: OrphanBlobs;
  /** Told when records have been pruned, and their space is free. */
  readonly onPruned?: () => void;
}

/** So many records are removed in one transaction. */
const batchSize = 16;
/** So many records are looked at before other work gets its turn. */
const sliceSize = 1000;

/** Removes records that nothing uses. */
export class Pruner {
  readonly #options: PrunerOptions;
  readonly #pruning = new Semaphore(1);

  constructor(options: PrunerOptions) {
    this.#options = options;
  }

  /**
   * Follows `buildkitd`: without space limits every record that matches is removed. With limits records are removed in the order of
   * `pruneScores` until the total is below what may be kept and the disk has the free space that is asked for. A record can be
   * removed once nothing is built on it. Images kept by name that a registry has, too, and documents, go last, and only with `all`.
   */
  async *prune(options: PruneOptions): AsyncGenerator<UsageRecord> {
    using _permit = await this.#pruning.acquire(options.signal);
    const { records, sizes, content, orphans, onPruned } = this.#options;
    using _end = { [Symbol.dispose]: () => onPruned?.() };
    const matches = parseRecordFilter(options.filters ?? []);
    const isLimited = Boolean(options.maxUsedSpace || options.reservedSpace || options.minFreeSpace);
    for (;;) {
      await sizes.settle(records.all());
      await orphans.settle();
      const blobs = await blobSizes(content);
      let removed = 0;
      for await (const usage of this.#pruneOnce(options, matches, isLimited, blobs)) {
        removed++;
        yield usage;
      }
      await sizes.deleted();
      // Files that others share free nothing, and builds write meanwhile: another round finds out whether it is enough.
      if (!isLimited || removed === 0) return;
    }
  }

  async *#pruneOnce(
    options: PruneOptions,
    matches: RecordFilter,
    isLimited: boolean,
    blobs: ReadonlyMap<Digest, number>,
  ): AsyncGenerator<UsageRecord> {
    const { records, orphans, sizes, lifecycle } = this.#options;
    const isWanted = this.#wanted(options, matches);
    const holders = options.all || isLimited ? await orphans.list(blobs) : [];
    let total = holders.reduce((sum, { usage }) => sum + usage.size, 0);
    const candidates: RefRecord[] = [];
    for (const [index, record] of [...records.all()].entries()) {
      if (index % sliceSize === sliceSize - 1) await setImmediate();
      total += sizes.of(record, blobs);
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
        const size = sizes.of(record, blobs);
        const parents = new Set(records.parents(record));
        gone.push(usageOf(record, { inUse: false, shared: false, size }));
        records.detach(record);
        batch.push(record);
        total -= size;
        for (const parent of parents)
          if (scores.has(parent) && records.isPrunable(parent)) queue.push(parent);
      }
      if (batch.length === 0) break;
      await lifecycle.erase(batch);
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
      matches(usageOf(record, { inUse: record.handles > 0, shared: false, size: 0 }));
  }

  /** Returns the bytes that may stay; 0 without a limit. Missing free space is taken from what is used, reserved space never is. */
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
