import { Semaphore, throwIfAborted } from '../../base/async/lifetime.ts';
import { type FlightContext, SingleFlight } from '../../base/async/single-flight.ts';
import type { Digest } from '../../base/digest.ts';
import { asKilnError, KilnError } from '../../base/errors.ts';
import { type WaitContext, withStatus } from '../../base/progress.ts';
import type { ContentStore } from '../../content/content.ts';
import type { Differ } from '../../layer-blob/differ.ts';
import type { Descriptor } from '../../oci/descriptor.ts';
import type { SnapshotId, Snapshotter } from '../../snapshot/snapshot.ts';
import type { BlobProvider } from '../layer-import.ts';
import { hasFiles, type RefRecord, scratchId, snapshotOf } from '../records/ref-record.ts';
import type { RefRecords } from '../records/ref-records.ts';
import type { TreeReader } from '../ref.ts';
import type { BlobProviders } from './blob-providers.ts';
import type { MountedLayers } from './mounted-layers.ts';
import type { PartlyHere } from './partly-here.ts';

export interface LazyLayersOptions {
  readonly records: RefRecords;
  readonly snapshotter: Snapshotter;
  readonly content: ContentStore;
  readonly differ: Differ;
  /** Awaited before a layer is unpacked, so that there can be room for it. */
  readonly makeRoom?: (signal: AbortSignal | undefined) => Promise<void>;
  readonly providers: BlobProviders;
  readonly mounted: MountedLayers;
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
  readonly #mounted: MountedLayers;
  readonly #materializing = new SingleFlight<void>();

  constructor({
    records,
    snapshotter,
    content,
    differ,
    makeRoom,
    providers,
    mounted,
    onMaterialized,
  }: LazyLayersOptions) {
    this.#providers = providers;
    this.#records = records;
    this.#snapshotter = snapshotter;
    this.#content = content;
    this.#differ = differ;
    this.#makeRoom = makeRoom;
    this.#onMaterialized = onMaterialized;
    this.#mounted = mounted;
  }

  addProvider(digest: Digest, provider: BlobProvider): void {
    this.#providers.add(digest, provider);
  }

  forgetProviders(digest: Digest): void {
    this.#providers.forget(digest);
  }

  /** To be called before snapshots are removed. */
  async unmount(records: readonly RefRecord[]): Promise<void> {
    if (!this.#mounted.isEmpty) await this.#mounted.unmount(records.map(snapshotOf));
  }

  /** Lets blobs of layers that are mounted be read from another provider, too. */
  offer(descriptors: readonly Descriptor[], provider: BlobProvider): void {
    for (const { digest } of descriptors) if (this.#mounted.has(digest)) this.addProvider(digest, provider);
  }

  /** The layers of the record's tree that are mounted; undefined when there are none, or all of these have come. */
  partlyHere(record: RefRecord): PartlyHere | undefined {
    return this.#mounted.isEmpty ? undefined : this.#mounted.partlyHere(this.#snapshots(record));
  }

  /** Registers work that reads the record's tree, if layers of trees are mounted. */
  reader(record: RefRecord, signal: AbortSignal): TreeReader | undefined {
    return this.#mounted.isUsed ? this.#mounted.reader(this.#snapshots(record), signal) : undefined;
  }

  #snapshots(record: RefRecord): readonly SnapshotId[] {
    return [record, ...this.#records.ancestors(record)].map(snapshotOf);
  }

  /** Returns whether the record's files are on the disk or can be fetched. */
  async canMaterialize(record: RefRecord): Promise<boolean> {
    const visited = new Set<RefRecord>();
    const pending = [record];
    for (let at = pending.pop(); at; at = pending.pop()) {
      if (visited.has(at)) continue;
      visited.add(at);
      if (at.id === scratchId) continue;
      if (await hasFiles(at, this.#snapshotter)) {
        if (this.#mounted.isEmpty) continue;
        if (!(await this.#mounted.isReadable(snapshotOf(at)))) return false;
        pending.push(...this.#records.parents(at));
        continue;
      }
      if (at.claim === 'refuted') return false;
      if (at.origin.kind === 'layer' && !(await this.#findBlob(at))) return false;
      pending.push(...this.#records.parents(at));
    }
    return true;
  }

  /**
   * Makes the record's snapshot, and those that it is built on, where they are missing. Layers are fetched and unpacked beside each other, so that one may be
   * complete before those below it; each gets its snapshot after these.
   */
  async materialize(record: RefRecord, context: WaitContext = {}): Promise<void> {
    throwIfAborted(context.signal);
    const order = await this.#missing(record);
    if (order.length === 0) return;
    const own = new AbortController();
    const signal = context.signal ? AbortSignal.any([context.signal, own.signal]) : own.signal;
    const caller = { ...context, signal };
    // Of many layers as many at once as there are threads, so that those of other images get their turn between them.
    const turns = new Semaphore(this.#differ.layersAtOnce);
    const make = async (each: RefRecord) => {
      await this.#makeOnce(each, turns, caller);
      if (each.size === undefined) this.#onMaterialized(each);
    };
    try {
      await Promise.all(order.map(make));
    } catch (error) {
      own.abort(error);
      throw error;
    }
  }

  /** Fetches a blob into the content store. Throws `not_found` when it is not there and nobody provides it. */
  async fetch(descriptor: Descriptor, context: WaitContext = {}): Promise<void> {
    if (await this.#content.stat(descriptor.digest)) return;
    await this.#providers.fetch(descriptor, context);
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

  /** Returns the blob of a layer that can be read while it is fetched, and is not here. */
  async #mountable(record: RefRecord, flight: FlightContext): Promise<Descriptor | undefined> {
    const found = record.blobs.find(({ descriptor }) =>
      this.#mounted.isEligible(descriptor, flight),
    )?.descriptor;
    if (!found) return undefined;
    for (const { descriptor } of record.blobs) {
      if (await this.#content.stat(descriptor.digest)) return undefined;
    }
    return found;
  }

  async #fetchLayer(record: RefRecord, context: WaitContext): Promise<Descriptor> {
    const descriptor = (await this.#findBlob(record)) ?? record.blobs[0]?.descriptor;
    if (!descriptor) {
      throw new KilnError('not_found', `record ${record.id} has neither files nor a layer blob`);
    }
    await this.fetch(descriptor, context);
    return descriptor;
  }

  #makeOnce(record: RefRecord, turns: Semaphore, context: WaitContext): Promise<void> {
    return this.#materializing.run(record.id, (flight) => this.#makeOne(record, turns, flight), context);
  }

  async #makeOne(record: RefRecord, turns: Semaphore, flight: FlightContext): Promise<void> {
    if (await hasFiles(record, this.#snapshotter)) return;
    const id = snapshotOf(record);
    const parents = this.#records.parents(record).map(snapshotOf);
    switch (record.origin.kind) {
      case 'merge': {
        await this.#makeParents(record, turns, flight);
        using _reader = this.reader(record, flight.signal);
        await this.#snapshotter.merge(id, parents);
        return;
      }
      case 'diff': {
        await this.#makeParents(record, turns, flight);
        using _reader = this.reader(record, flight.signal);
        await this.#snapshotter.diff(
          id,
          record.origin.lower === undefined ? undefined : parents[0],
          parents.at(-1)!,
        );
        return;
      }
      case 'layer': {
        const mountable = await this.#mountable(record, flight);
        if (mountable && (await this.#mount(record, mountable, turns, flight))) return;
        const descriptor = await this.#fetchLayer(record, flight);
        await this.#extract(record, descriptor, turns, flight);
        return;
      }
      default:
        record.origin satisfies never;
    }
  }

  /** Waits for what the record is built on, and makes it where nobody else does. */
  async #makeParents(record: RefRecord, turns: Semaphore, flight: FlightContext): Promise<void> {
    const make = async (parent: RefRecord) => {
      if (await hasFiles(parent, this.#snapshotter)) return;
      await this.#makeOnce(parent, turns, flight);
    };
    await Promise.all(this.#records.parents(record).map(make));
  }

  /** Returns false when the layer has to be unpacked. */
  async #mount(
    record: RefRecord,
    descriptor: Descriptor,
    turns: Semaphore,
    flight: FlightContext,
  ): Promise<boolean> {
    const id = snapshotOf(record);
    const [parent] = this.#records.parents(record).map(snapshotOf);
    await this.#makeParents(record, turns, flight);
    using _turn = await turns.acquire(flight.signal);
    // An earlier try may have left something that it could not remove.
    await this.#snapshotter.remove(id);
    await this.#snapshotter.prepare(id, parent);
    const dirs = parent === undefined ? [] : await this.#snapshotter.layerDirs(parent);
    try {
      const isMounted = await withStatus(flight.progress, `mounting ${descriptor.digest}`, () =>
        this.#mounted.make(id, descriptor, dirs.toReversed(), flight),
      );
      if (isMounted) {
        await this.#snapshotter.commit(id);
        return true;
      }
    } catch (error) {
      await this.#mounted.unmount([id]);
      await this.#snapshotter.remove(id).catch(() => {
        // The next try, or the next start, removes it.
      });
      throw asKilnError(error);
    }
    await this.#snapshotter.remove(id);
    return false;
  }

  async #extract(
    record: RefRecord,
    descriptor: Descriptor,
    turns: Semaphore,
    flight: FlightContext,
  ): Promise<void> {
    const { signal, progress } = flight;
    const id = snapshotOf(record);
    const [parent] = this.#records.parents(record).map(snapshotOf);
    // An earlier try may have left something that it could not remove.
    await this.#snapshotter.remove(id);
    try {
      const staged = await this.#snapshotter.stage(id, parent !== undefined);
      if (!staged) await this.#makeParents(record, turns, flight);
      using turn = await turns.acquire(signal);
      await this.#makeRoom?.(signal);
      if (!staged) await this.#snapshotter.prepare(id, parent);
      const target = staged ?? (await this.#snapshotter.writableLayerDir(id));
      const below = async () => {
        // Those below need turns, too.
        turn[Symbol.dispose]();
        await this.#makeParents(record, turns, flight);
        const dirs = parent === undefined ? [] : await this.#snapshotter.layerDirs(parent);
        return dirs.toReversed();
      };
      const { diffId } = await withStatus(progress, `extracting ${descriptor.digest}`, () =>
        this.#differ.apply(descriptor, this.#content, { ...target, below }, signal),
      );
      turn[Symbol.dispose]();
      this.verify(record, descriptor, diffId);
      if (staged) {
        await this.#makeParents(record, turns, flight);
        await this.#snapshotter.prepare(id, parent);
      }
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
