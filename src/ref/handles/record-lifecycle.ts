import type { WaitContext } from '../../base/progress.ts';
import type { SnapshotId, Snapshotter } from '../../snapshot/snapshot.ts';
import type { LazyLayers } from '../layers/lazy-layers.ts';
import type { OrphanBlobs } from '../records/orphan-blobs.ts';
import type { RecordSizes } from '../records/record-sizes.ts';
import {
  type NewRecord,
  newRefId,
  publicId,
  type RefRecord,
  scratchId,
  snapshotOf,
} from '../records/ref-record.ts';
import type { RefRecords } from '../records/ref-records.ts';
import type { RecordType, RefId } from '../ref.ts';

export interface RecordLifecycleOptions {
  readonly records: RefRecords;
  readonly snapshotter: Snapshotter;
  readonly lazyLayers: LazyLayers;
  readonly sizes: RecordSizes;
  readonly orphans: OrphanBlobs;
  /** Awaited before something is written, so that there can be room for it. */
  readonly makeRoom?: (signal: AbortSignal | undefined) => Promise<void>;
  /** Told the public id of each record that is gone, and of each that is thawed. */
  readonly onRemoved?: (id: RefId) => void;
}

/** The life of records: their states (see `RecordState`), their holders, and their removal. */
export class RecordLifecycle {
  readonly #options: RecordLifecycleOptions;
  readonly #retiring = new Set<Promise<void>>();
  /** Records that were retired while somebody held them. */
  readonly #unwanted = new Set<RefRecord>();

  constructor(options: RecordLifecycleOptions) {
    this.#options = options;
  }

  /** Makes a mutable record, held once, whose tree starts as `parent` or empty. `parent` must be final. */
  async prepare(
    parent: RefRecord | undefined,
    options: Omit<NewRecord, 'origin' | 'state'>,
    context: WaitContext = {},
  ): Promise<RefRecord> {
    const { lazyLayers, makeRoom, records, snapshotter } = this.#options;
    const below = parent?.id === scratchId ? undefined : parent;
    if (below) await lazyLayers.materialize(below, context);
    await makeRoom?.(context.signal);
    const id = newRefId();
    return await records.createWith(
      { ...options, id, state: 'mutable', origin: { kind: 'layer', ...(below ? { parent: below.id } : {}) } },
      (write) => snapshotter.prepare(id as string as SnapshotId, below && snapshotOf(below), write),
    );
  }

  /** `type` replaces the one that the record was made with. */
  async commit(record: RefRecord, type = record.type): Promise<void> {
    await this.#toCommitted(record, type);
    this.#options.sizes.measureSoon(record);
  }

  freeze(record: RefRecord): void {
    const { records, sizes } = this.#options;
    records.update(record, { state: 'frozen', generation: record.generation + 1 });
    sizes.measureSoon(record);
  }

  /** Returns whether the record was frozen with nobody else holding it, and is mutable now. */
  thaw(record: RefRecord): boolean {
    if (record.state !== 'frozen' || record.handles !== 1) return false;
    this.#options.records.thaw(record);
    this.#unwanted.delete(record);
    this.#options.onRemoved?.(publicId(record));
    return true;
  }

  /** Commits a frozen record, since something is going to be built on it. */
  async finalize(record: RefRecord): Promise<void> {
    if (record.state === 'frozen') await this.#toCommitted(record, record.type);
  }

  retain(record: RefRecord): void {
    this.#options.records.retain(record);
  }

  release(record: RefRecord): void {
    this.#options.records.release(record);
    this.released(record);
  }

  /** Does what is due when a handle was released. */
  released(record: RefRecord): void {
    if (record.handles > 0) return;
    if (record.claim === 'refuted' || this.#unwanted.delete(record)) this.retire(publicId(record));
    if (record.state !== 'mutable') return;
    if (record.name === undefined) this.retire(record.id);
    else this.#options.sizes.measureSoon(record);
  }

  /** Ends a mutable record that was not committed. */
  async discard(record: RefRecord): Promise<void> {
    const { records } = this.#options;
    records.release(record);
    records.detach(record);
    await this.#options.lazyLayers.unmount([record]);
    await records.erase([record]).catch(() => {
      // The record stays for the next collection.
    });
  }

  /** Removes the record in the background as soon as nobody holds it, unless something is built on it. */
  retire(id: RefId): void {
    const retiring = this.#retire(id).catch(() => {
      // The record stays for the next collection.
    });
    this.#retiring.add(retiring);
    void retiring.then(() => this.#retiring.delete(retiring));
  }

  /** Resolves when what was retired so far is removed. */
  async retired(): Promise<void> {
    await Promise.all(this.#retiring);
  }

  async #retire(id: RefId): Promise<void> {
    const { records } = this.#options;
    const record = records.findPublic(id);
    if (!record) return;
    if (record.handles > 0) this.#unwanted.add(record);
    if (!records.isPrunable(record)) return;
    records.detach(record);
    await this.erase([record]);
  }

  /** Removes records that are detached, children before parents, with their files and the blobs that nothing else needs. */
  async erase(detached: readonly RefRecord[]): Promise<void> {
    const { records, sizes, orphans } = this.#options;
    await this.#options.lazyLayers.unmount(detached);
    const removals = await records.erase(detached);
    for (const [index, record] of detached.entries()) {
      sizes.awaitDeletion(removals[index]!);
      this.#onRemoved(record);
    }
    await orphans.delete(detached.flatMap(({ blobs }) => blobs.map(({ descriptor }) => descriptor.digest)));
  }

  #onRemoved(record: RefRecord): void {
    const { records, lazyLayers, onRemoved } = this.#options;
    for (const { descriptor } of record.blobs) {
      if (!records.ownsBlob(descriptor.digest)) lazyLayers.forgetProviders(descriptor.digest);
    }
    onRemoved?.(publicId(record));
  }

  async #toCommitted(record: RefRecord, type: RecordType): Promise<void> {
    const { records, snapshotter } = this.#options;
    await records.updateWith(record, { state: 'committed', type }, (write) =>
      snapshotter.commit(snapshotOf(record), write),
    );
  }
}
