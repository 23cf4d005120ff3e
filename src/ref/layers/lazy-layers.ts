import { throwIfAborted } from '../../base/async/lifetime.ts';
import { type FlightContext, SingleFlight } from '../../base/async/single-flight.ts';
import type { Digest } from '../../base/digest.ts';
import { asKilnError, KilnError } from '../../base/errors.ts';
import { type WaitContext, withStatus } from '../../base/progress.ts';
import type { ContentStore } from '../../content/content.ts';
import type { Differ } from '../../layer-blob/differ.ts';
import type { Descriptor } from '../../oci/descriptor.ts';
import type { Snapshotter } from '../../snapshot/snapshot.ts';
import type { BlobProvider } from '../layer-import.ts';
import { hasFiles, parentsOf, type RefRecord, scratchId, snapshotOf } from '../records/ref-record.ts';
import type { RefRecords } from '../records/ref-records.ts';
import { BlobProviders } from './blob-providers.ts';

export interface LazyLayersOptions {
  readonly records: RefRecords;
  readonly snapshotter: Snapshotter;
  readonly content: ContentStore;
  readonly differ: Differ;
  /** Awaited before a layer is unpacked, so that there can be room for it. */
  readonly makeRoom?: (signal: AbortSignal | undefined) => Promise<void>;
  /** Milliseconds after which a provider that is slow gets company by the next (see `BlobProviders`); 10,000 by default. */
  readonly patience?: number;
  /** Told of each record whose files have been made. */
  readonly onMaterialized: (record: RefRecord) => void;
}

/** Makes the files of trees when they are needed: fetches blobs, unpacks layers, merges and diffs; each once, however many ask. */
export class LazyLayers {
  readonly #records: RefRecords;
  readonly #snapshotter: Snapshotter;
  readonly #content: ContentStore;
  readonly #differ: Differ;
  readonly #makeRoom: LazyLayersOptions['makeRoom'];
  readonly #onMaterialized: (record: RefRecord) => void;
  readonly #providers: BlobProviders;
  readonly #fetching = new SingleFlight<void>();
  readonly #materializing = new SingleFlight<void>();

  constructor({
    records,
    snapshotter,
    content,
    differ,
    makeRoom,
    patience = 10_000,
    onMaterialized,
  }: LazyLayersOptions) {
    this.#providers = new BlobProviders(patience);
    this.#records = records;
    this.#snapshotter = snapshotter;
    this.#content = content;
    this.#differ = differ;
    this.#makeRoom = makeRoom;
    this.#onMaterialized = onMaterialized;
  }

  addProvider(digest: Digest, provider: BlobProvider): void {
    this.#providers.add(digest, provider);
  }

  forgetProviders(digest: Digest): void {
    this.#providers.forget(digest);
  }

  /** Returns whether the record's files are on the disk or can be fetched. */
  async canMaterialize(record: RefRecord): Promise<boolean> {
    const visited = new Set<RefRecord>();
    const pending = [record];
    for (let at = pending.pop(); at; at = pending.pop()) {
      if (visited.has(at)) continue;
      visited.add(at);
      if (at.id === scratchId || (await hasFiles(at, this.#snapshotter))) continue;
      if (at.claim === 'refuted') return false;
      if (at.origin.kind === 'layer' && !(await this.#findBlob(at))) return false;
      pending.push(...this.#records.parents(at));
    }
    return true;
  }

  /** Makes the record's snapshot, and those that it is built on, where they are missing. */
  async materialize(record: RefRecord, context: WaitContext = {}): Promise<void> {
    throwIfAborted(context.signal);
    const order = await this.#missing(record);
    if (order.length === 0) return;
    const own = new AbortController();
    const signal = context.signal ? AbortSignal.any([context.signal, own.signal]) : own.signal;
    const caller = { ...context, signal };
    const materializeInOrder = async () => {
      for (const each of order) {
        await this.#materializing.run(each.id, (flight) => this.#materializeOne(each, flight), caller);
        if (each.size === undefined) this.#onMaterialized(each);
      }
    };
    const layers = order.filter(({ origin }) => origin.kind === 'layer');
    try {
      // Blobs are fetched in parallel, while layers are unpacked from the bottom up.
      await Promise.all([...layers.map((layer) => this.#fetchLayer(layer, caller)), materializeInOrder()]);
    } catch (error) {
      own.abort(error);
      throw error;
    }
  }

  /** Fetches a blob into the content store. Throws `not_found` when it is not there and nobody provides it. */
  async fetch(descriptor: Descriptor, context: WaitContext = {}): Promise<void> {
    if (await this.#content.stat(descriptor.digest)) return;
    const work = (flight: FlightContext) => this.#providers.fetch(descriptor, flight);
    await this.#fetching.run(descriptor.digest, work, context);
  }

  /** Compares the diff id of what came out of a layer's blob with the one that its image claims. Throws `data_loss` when they differ. */
  verify(record: RefRecord, { digest }: Descriptor, diffId: Digest): void {
    if (record.chainId === undefined) return;
    const claimed = record.blobs.find(({ descriptor }) => descriptor.digest === digest)?.diffId;
    if (claimed === undefined || claimed === diffId) return;
    this.#records.refute(record);
    throw new KilnError(
      'data_loss',
      `layer ${digest} unpacks to ${diffId}, but the image config names ${claimed}`,
      { hint: `the image is broken or forged (${record.description}): build or pull it anew` },
    );
  }

  /** Returns the records without a snapshot, each after those that it is built on. */
  async #missing(record: RefRecord): Promise<RefRecord[]> {
    const order: RefRecord[] = [];
    const visited = new Set<RefRecord>();
    const pending: { readonly record: RefRecord; readonly ready: boolean }[] = [{ record, ready: false }];
    for (let at = pending.pop(); at; at = pending.pop()) {
      if (at.ready) {
        order.push(at.record);
        continue;
      }
      if (visited.has(at.record)) continue;
      visited.add(at.record);
      if (await hasFiles(at.record, this.#snapshotter)) continue;
      pending.push({ record: at.record, ready: true });
      for (const parent of this.#records.parents(at.record)) pending.push({ record: parent, ready: false });
    }
    return order;
  }

  /** Returns a blob of the layer that is in the content store, or else one that somebody provides. */
  async #findBlob(record: RefRecord): Promise<Descriptor | undefined> {
    for (const { descriptor } of record.blobs) {
      if (await this.#content.stat(descriptor.digest)) return descriptor;
    }
    return record.blobs.find(({ descriptor }) => this.#providers.has(descriptor.digest))?.descriptor;
  }

  async #fetchLayer(record: RefRecord, context: WaitContext): Promise<Descriptor> {
    const descriptor = (await this.#findBlob(record)) ?? record.blobs[0]?.descriptor;
    if (!descriptor) {
      throw new KilnError('not_found', `record ${record.id} has neither files nor a layer blob`);
    }
    await this.fetch(descriptor, context);
    return descriptor;
  }

  async #materializeOne(record: RefRecord, { signal, progress }: FlightContext): Promise<void> {
    if (await hasFiles(record, this.#snapshotter)) return;
    const id = snapshotOf(record);
    const parents = parentsOf(record.origin).map((parent) => snapshotOf(this.#records.require(parent)));
    switch (record.origin.kind) {
      case 'merge':
        await this.#snapshotter.merge(id, parents);
        return;
      case 'diff':
        await this.#snapshotter.diff(
          id,
          record.origin.lower === undefined ? undefined : parents[0],
          parents.at(-1)!,
        );
        return;
      case 'layer': {
        const descriptor = await this.#fetchLayer(record, { signal, progress });
        await withStatus(progress, `extracting ${descriptor.digest}`, () =>
          this.#extract(record, descriptor, signal),
        );
        return;
      }
      default:
        record.origin satisfies never;
    }
  }

  async #extract(record: RefRecord, descriptor: Descriptor, signal: AbortSignal): Promise<void> {
    await this.#makeRoom?.(signal);
    const id = snapshotOf(record);
    const parent = parentsOf(record.origin)[0];
    // An earlier try may have left something that it could not remove.
    await this.#snapshotter.remove(id);
    await this.#snapshotter.prepare(id, parent && snapshotOf(this.#records.require(parent)));
    try {
      const target = await this.#snapshotter.writableLayerDir(id);
      const dirs =
        parent === undefined
          ? []
          : await this.#snapshotter.layerDirs(snapshotOf(this.#records.require(parent)));
      const below = dirs.toReversed();
      const { diffId } = await this.#differ.apply(descriptor, this.#content, { ...target, below }, signal);
      this.verify(record, descriptor, diffId);
      await this.#snapshotter.commit(id);
      this.#records.confirm(record);
    } catch (error) {
      await this.#snapshotter.remove(id).catch(() => {
        // The next try, or the next start, removes it.
      });
      throw asKilnError(error);
    }
  }
}
