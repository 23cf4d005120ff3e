import { setImmediate } from 'node:timers/promises';
import type { Digest } from '../../base/digest.ts';
import type { DiskUsage, ImageIndex, PruneOptions, UsageRecord } from '../disk-usage.ts';
import type { RefRecord } from '../records/ref-record.ts';
import { Pruner, type PrunerOptions } from './pruner.ts';
import { parseRecordFilter } from './record-filter.ts';
import { blobSizes, usageOf } from './usage-record.ts';

export interface DiskUsageOptions extends PrunerOptions {
  readonly images: ImageIndex;
}

/** So many records are looked at before other work gets its turn. */
const sliceSize = 1000;

/** The usage of records, and of blobs without a record. */
export class LocalDiskUsage implements DiskUsage {
  readonly #options: DiskUsageOptions;
  readonly #pruner: Pruner;

  constructor(options: DiskUsageOptions) {
    this.#options = options;
    this.#pruner = new Pruner(options);
  }

  async list(filters: readonly string[] = []): Promise<readonly UsageRecord[]> {
    const { records, lifecycle, sizes, content, images, orphans } = this.#options;
    await lifecycle.retired();
    // Files that are being deleted are on the disk, but belong to no record.
    await sizes.deleted();
    await orphans.settle();
    const matches = parseRecordFilter(filters);
    await sizes.settle(records.all());
    const blobs = await blobSizes(content);
    const all = [...records.all()];
    const inUse = this.#withAncestors((record) => record.handles > 0);
    const shared = this.#withAncestors((record) =>
      record.blobs.some(({ descriptor }) => images.holds(descriptor.digest)),
    );
    const listed: UsageRecord[] = [];
    for (const [index, record] of all.entries()) {
      if (index % sliceSize === sliceSize - 1) await setImmediate();
      const usage = usageOf(record, {
        inUse: inUse.has(record),
        shared: shared.has(record),
        size: sizes.of(record, blobs),
      });
      if (matches(usage)) listed.push(usage);
    }
    for (const { usage } of await orphans.list(blobs)) if (matches(usage)) listed.push(usage);
    return listed;
  }

  prune(options: PruneOptions): AsyncIterable<UsageRecord> {
    return this.#pruner.prune(options);
  }

  release(blobs: readonly Digest[]): Promise<number> {
    return this.#options.orphans.release(blobs);
  }

  /** Counts snapshots, and blobs by what their descriptors say. */
  knownSize(): number {
    let size = 0;
    for (const record of this.#options.records.all()) {
      size += record.size ?? 0;
      for (const { descriptor } of record.blobs) size += descriptor.size;
    }
    return size;
  }

  /** Returns the records that match, and everything that they are built on. */
  #withAncestors(matches: (record: RefRecord) => boolean): Set<RefRecord> {
    const { records } = this.#options;
    const found = new Set<RefRecord>();
    const pending = [...records.all()].filter(matches);
    for (let at = pending.pop(); at; at = pending.pop()) {
      if (found.has(at)) continue;
      found.add(at);
      pending.push(...records.parents(at));
    }
    return found;
  }
}
