import { mkdirSync } from 'node:fs';
import path from 'node:path';
import type { DatabaseSync } from 'node:sqlite';
import { throwIfAborted } from '../base/async/lifetime.ts';
import { KilnError } from '../base/errors.ts';
import type { WaitContext } from '../base/progress.ts';
import type { ThreadPool } from '../base/threads/thread-pool.ts';
import type { ContentStore } from '../content/content.ts';
import type { Differ } from '../layer-blob/differ.ts';
import { chainIds } from '../oci/manifest.ts';
import { joinLayers } from '../snapshot/layer-list.ts';
import type { SnapshotId, SnapshotMount, Snapshotter } from '../snapshot/snapshot.ts';
import { CacheDirectoryHandle } from './cache-directory-handle.ts';
import { CacheDirectoryLocks } from './cache-directory-locks.ts';
import { ImmutableHandle } from './immutable-handle.ts';
import { knownLayers } from './known-layers.ts';
import { LayerBlobs } from './layer-blobs.ts';
import { LazyLayers } from './lazy-layers.ts';
import { MutableHandle } from './mutable-handle.ts';
import type {
  BlobOptions,
  BlobProvider,
  CacheDirectory,
  CacheDirectoryOptions,
  ImageIndex,
  ImmutableRef,
  LayerBlob,
  LayerInfo,
  MountedView,
  MutableRef,
  PruneOptions,
  RecordOptions,
  RefId,
  RefStore,
  UsageRecord,
} from './ref.ts';
import { RefMounts } from './ref-mounts.ts';
import type { RefOperations } from './ref-operations.ts';
import { newRefId, publicId, type RecordOrigin, type RefRecord, snapshotOf } from './ref-record.ts';
import { type NewRecord, RefRecords, scratchId } from './ref-records.ts';
import { OrphanBlobs } from './usage/orphan-blobs.ts';
import { RecordSizes } from './usage/record-sizes.ts';
import { RecordUsage } from './usage/record-usage.ts';

export interface RefStoreOptions {
  /** An absolute path; a directory of the store's own, for mounts, on the file system whose free space counts for `prune`. */
  readonly root: string;
  readonly database: DatabaseSync;
  readonly snapshotter: Snapshotter;
  readonly content: ContentStore;
  readonly differ: Differ;
  readonly pool: ThreadPool;
  /** None by default. */
  readonly images?: ImageIndex;
  /** Deletes what other rooms have written of a record, in the transaction in which it goes: its id, and the layer directory it had. */
  readonly deleteRows?: (id: RefId, layerDir: string | undefined) => void;
  /** Told of each record that is gone: the id under which it was known last. */
  readonly onRemoved?: (id: RefId) => void;
  /** Told when records have been pruned, and their space is free. */
  readonly onPruned?: () => void;
  /** Waited for before something is written, so that there can be room for it. */
  readonly makeRoom?: (signal: AbortSignal | undefined) => Promise<void>;
  /** Milliseconds after which one who brings little of a blob is not waited for alone. */
  readonly patience?: number;
  /** Whether nothing is being built; by default whether no ref is held. */
  readonly isIdle?: () => boolean;
}

const noImages: ImageIndex = { list: async () => [], delete: async () => {}, holds: () => false };

/** Trees that a merge may get from merges in it: each has a record of all that are in those below, so a chain grows with its square. */
const maxMerged = 4_096;

/** Opens the store, and drops what a killed process left half-made, and blobs that nothing names. */
export async function openRefStore(options: RefStoreOptions): Promise<RefStore> {
  mkdirSync(options.root, { recursive: true, mode: 0o700 });
  const { images = noImages } = options;
  const records = new RefRecords({ ...options, images });
  const mounts = new RefMounts(path.join(options.root, 'mounts'));
  await records.recover();
  const orphans = new OrphanBlobs({
    records,
    content: options.content,
    images,
    isIdle: options.isIdle ?? (() => records.all().every((record) => record.handles === 0)),
  });
  await orphans.sweep();
  return new LocalRefStore({ ...options, images }, { records, mounts, orphans });
}

class LocalRefStore implements RefStore, RefOperations {
  readonly #snapshotter: Snapshotter;
  readonly #records: RefRecords;
  readonly #mounts: RefMounts;
  readonly #lazyLayers: LazyLayers;
  readonly #layerBlobs: LayerBlobs;
  readonly #named: CacheDirectoryLocks;
  readonly #sizes: RecordSizes;
  readonly #usage: RecordUsage;
  readonly #tellRemoved: RefStoreOptions['onRemoved'];
  readonly #makeRoom: RefStoreOptions['makeRoom'];
  readonly #retiring = new Set<Promise<void>>();
  /** Retired while somebody held them. */
  readonly #unwanted = new Set<RefRecord>();

  constructor(
    options: RefStoreOptions & { readonly images: ImageIndex },
    {
      records,
      mounts,
      orphans,
    }: { readonly records: RefRecords; readonly mounts: RefMounts; readonly orphans: OrphanBlobs },
  ) {
    const { root, snapshotter, content, differ, pool, images } = options;
    this.#snapshotter = snapshotter;
    this.#tellRemoved = options.onRemoved;
    this.#makeRoom = options.makeRoom;
    this.#records = records;
    this.#mounts = mounts;
    this.#sizes = new RecordSizes(records, snapshotter);
    this.#lazyLayers = new LazyLayers({
      records,
      snapshotter,
      content,
      differ,
      makeRoom: options.makeRoom,
      patience: options.patience,
      onMade: (record) => this.#sizes.note(record),
    });
    this.#layerBlobs = new LayerBlobs({
      records,
      lazyLayers: this.#lazyLayers,
      snapshotter,
      content,
      differ,
      parallelism: pool.size,
    });
    this.#named = new CacheDirectoryLocks(records);
    this.#usage = new RecordUsage({
      root,
      records,
      sizes: this.#sizes,
      content,
      images,
      orphans,
      onRemoved: (record) => this.#onRemoved(record),
      onPruned: options.onPruned,
    });
  }

  async createMutable(
    parent: ImmutableRef | undefined,
    options: RecordOptions,
    context?: WaitContext,
  ): Promise<MutableRef> {
    return new MutableHandle(await this.#prepare(parent, { ...options, state: 'mutable' }, context), this);
  }

  async thaw(ref: ImmutableRef): Promise<MutableRef | undefined> {
    const handle = this.#handleOf(ref);
    const { record } = handle;
    if (record.state !== 'frozen' || record.handles !== 1) return undefined;
    this.#records.thaw(record);
    handle.surrender();
    this.#unwanted.delete(record);
    this.#tellRemoved?.(publicId(record));
    return new MutableHandle(record, this);
  }

  has(id: RefId): boolean {
    return this.#find(id) !== undefined;
  }

  async get(id: RefId): Promise<ImmutableRef | undefined> {
    const record = this.#find(id);
    if (!record || record.state === 'mutable') return undefined;
    // Held before the first wait, so that it cannot be pruned, or taken by who wants to write, meanwhile.
    const ref = this.retain(record);
    if (await this.#lazyLayers.canMake(record)) return ref;
    await ref.release();
    return undefined;
  }

  async fromBlobs(
    layers: readonly LayerBlob[],
    provider: BlobProvider,
    options: RecordOptions,
  ): Promise<ImmutableRef> {
    const chain = chainIds(layers.map(({ diffId }) => diffId));
    const known = knownLayers(layers, chain, this.#records);
    const created: (NewRecord & { readonly id: RefId })[] = [];
    for (const [index, blob] of layers.entries().drop(known.count)) {
      created.push({
        id: newRefId(),
        origin: layerOrigin(created.at(-1)?.id ?? known.top?.id),
        state: 'committed',
        chainId: chain[index]!,
        type: options.type,
        description:
          blob.description ??
          (index === layers.length - 1 ? options.description : `layer of ${options.description}`),
        createdAt: blob.createdAt,
        blobs: [blob],
      });
    }
    const made = this.#records.createAll(created).at(-1) ?? known.top;
    for (const { descriptor } of layers) {
      if (this.#records.ownsBlob(descriptor.digest))
        this.#lazyLayers.addProvider(descriptor.digest, provider);
    }
    return made ? this.retain(made) : await this.scratch();
  }

  async merge(refs: readonly ImmutableRef[], options: RecordOptions): Promise<ImmutableRef> {
    const records = await Promise.all(refs.map((ref) => this.#finalRecordOf(ref)));
    const parents = joinLayers(
      records.map(({ id, origin }) => (origin.kind === 'merge' ? origin.parents : [id])),
    ) as RefId[];
    if (parents.length > Math.max(maxMerged, refs.length)) {
      throw new KilnError(
        'resource_exhausted',
        `a merge of merges has ${parents.length} trees, more than ${maxMerged}: ${options.description}`,
        { hint: 'copy some of them into one' },
      );
    }
    const [only] = parents;
    if (only === undefined) return this.scratch();
    if (parents.length === 1) return this.retain(this.#records.require(only));
    return this.#createJoined({ kind: 'merge', parents }, options);
  }

  async diff(
    lower: ImmutableRef | undefined,
    upper: ImmutableRef | undefined,
    options: RecordOptions,
  ): Promise<ImmutableRef> {
    const below = lower && (await this.#finalRecordOf(lower));
    const above = upper ? await this.#finalRecordOf(upper) : this.#records.require(scratchId);
    if (!below || below.id === scratchId) return this.retain(above);
    return this.#createJoined({ kind: 'diff', lower: below.id, upper: above.id }, options);
  }

  async scratch(): Promise<ImmutableRef> {
    return this.retain(this.#records.require(scratchId));
  }

  async blobs(ref: ImmutableRef, options: BlobOptions): Promise<readonly LayerBlob[]> {
    // A record has the blobs for good.
    return await this.#layerBlobs.ofRecord(await this.#finalRecordOf(ref), options);
  }

  async ensureBlob(_ref: ImmutableRef, blob: LayerBlob, context: WaitContext): Promise<void> {
    await this.#lazyLayers.fetch(blob.descriptor, context);
  }

  async acquireCacheDirectory(
    key: string,
    parent: ImmutableRef | undefined,
    options: CacheDirectoryOptions,
  ): Promise<CacheDirectory> {
    const { sharing, signal, progress, ...recordOptions } = options;
    const name = parent ? `${keyOnParent(key)}${parent.id}` : key;
    const { record, fresh } = await this.#named.acquire(
      name,
      sharing,
      () => this.#prepare(parent, { ...recordOptions, state: 'mutable', name }, { signal, progress }),
      signal,
    );
    try {
      this.#records.setSize(record, undefined);
      return new CacheDirectoryHandle(record, { fresh }, this);
    } catch (error) {
      this.#named.release(record);
      throw error;
    }
  }

  async dropCacheDirectories(key: string, { withParent }: { readonly withParent: boolean }): Promise<void> {
    const names = withParent
      ? this.#records.names().filter((name) => name.startsWith(keyOnParent(key)))
      : [key];
    for (const name of names) {
      for (const record of this.#named.drop(name)) if (record.handles === 0) this.retire(record.id);
    }
  }

  async usage(filters?: readonly string[]): Promise<readonly UsageRecord[]> {
    await Promise.all(this.#retiring);
    // What is being deleted is on the disk, and in no record.
    await this.#sizes.deleted();
    return await this.#usage.list(filters);
  }

  prune(options: PruneOptions): AsyncIterable<UsageRecord> {
    return this.#usage.prune(options);
  }

  retire(id: RefId): void {
    const retiring = this.#retire(id).catch(() => {
      // It stays for the next collection.
    });
    this.#retiring.add(retiring);
    void retiring.then(() => this.#retiring.delete(retiring));
  }

  async #retire(id: RefId): Promise<void> {
    const record = this.#find(id);
    if (!record) return;
    if (record.handles > 0) this.#unwanted.add(record);
    if (!this.#records.isPrunable(record)) return;
    this.#records.detach(record);
    const [removal] = await this.#records.erase([record]);
    this.#sizes.removed(removal!);
    this.#onRemoved(record);
    await this.#records.deleteBlobs([record]);
  }

  knownSize(): number {
    return this.#usage.knownSize();
  }

  #onRemoved(record: RefRecord): void {
    for (const { descriptor } of record.blobs) {
      if (!this.#records.ownsBlob(descriptor.digest)) this.#lazyLayers.forgetProviders(descriptor.digest);
    }
    this.#tellRemoved?.(publicId(record));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#retiring);
    await this.#sizes[Symbol.asyncDispose]();
    await this.#mounts[Symbol.asyncDispose]();
    this.#records.flush();
  }

  // What handles call.

  retain(record: RefRecord): ImmutableRef {
    this.#records.retain(record);
    return new ImmutableHandle(record, this);
  }

  release(record: RefRecord): void {
    this.#named.release(record);
    if (record.handles > 0) return;
    if (record.claim === 'refuted' || this.#unwanted.delete(record)) this.retire(publicId(record));
    if (record.state !== 'mutable') return;
    if (record.name === undefined) this.retire(record.id);
    else this.#sizes.note(record);
  }

  /** From now on the tree stays as it is: something is built on it. */
  async finalize(record: RefRecord): Promise<void> {
    if (record.state !== 'frozen') return;
    await this.#records.updateWith(record, { state: 'committed' }, (write) =>
      this.#snapshotter.commit(snapshotOf(record), write),
    );
  }

  async make(record: RefRecord, context: WaitContext | undefined): Promise<void> {
    throwIfAborted(context?.signal);
    await this.#lazyLayers.make(record, context);
  }

  mountReadonly(record: RefRecord): Promise<MountedView> {
    return this.#mounts.mount(publicId(record), () => this.snapshotMount(record, { readonly: true }));
  }

  mountWritable(record: RefRecord): Promise<MountedView> {
    return this.#mounts.mount(`${record.id} writable`, async () => {
      const source = await this.plainDir(record);
      return source === undefined
        ? await this.snapshotMount(record, { readonly: false })
        : { kind: 'bind', source, readonly: false };
    });
  }

  snapshotMount(record: RefRecord, access: { readonly readonly: boolean }): Promise<SnapshotMount> {
    return this.#snapshotter.mount(snapshotOf(record), access);
  }

  async plainDir(record: RefRecord): Promise<string | undefined> {
    const { dir, form } = await this.#snapshotter.writableLayerDir(snapshotOf(record));
    return form === 'tree' ? dir : undefined;
  }

  layerDirs(record: RefRecord): Promise<readonly string[]> {
    return this.#snapshotter.layerDirs(snapshotOf(record));
  }

  layers(record: RefRecord): readonly LayerInfo[] {
    return this.#records.layers(record).map((layer) => ({
      id: publicId(layer),
      blobs: layer.blobs,
      createdAt: layer.createdAt,
      description: layer.description,
    }));
  }

  async commit(record: RefRecord): Promise<ImmutableRef> {
    await this.#records.updateWith(record, { state: 'committed' }, (write) =>
      this.#snapshotter.commit(snapshotOf(record), write),
    );
    this.#sizes.note(record);
    return new ImmutableHandle(record, this);
  }

  async discard(record: RefRecord): Promise<void> {
    this.#records.release(record);
    this.#records.detach(record);
    await this.#records.erase([record]).catch(() => {
      // It stays for the next collection.
    });
  }

  async freeze(record: RefRecord): Promise<ImmutableRef> {
    this.#records.update(record, { state: 'frozen', generation: record.generation + 1 });
    this.#sizes.note(record);
    return new ImmutableHandle(record, this);
  }

  /** A record with an active snapshot, held once. */
  async #prepare(
    parent: ImmutableRef | undefined,
    options: Omit<NewRecord, 'origin'>,
    context: WaitContext | undefined,
  ): Promise<RefRecord> {
    const below = parent && (await this.#finalRecordOf(parent));
    const origin = layerOrigin(below?.id === scratchId ? undefined : below?.id);
    if (below && origin.parent !== undefined) await this.make(below, context);
    await this.#makeRoom?.(context?.signal);
    const id = newRefId();
    return await this.#records.createWith({ ...options, id, origin }, (write) =>
      this.#snapshotter.prepare(
        id as string as SnapshotId,
        origin.parent === undefined ? undefined : snapshotOf(below!),
        write,
      ),
    );
  }

  #createJoined(origin: RecordOrigin, options: RecordOptions): ImmutableRef {
    return this.retain(this.#records.create({ ...options, origin, state: 'committed' }));
  }

  #find(id: RefId): RefRecord | undefined {
    const record = this.#records.find(id.split('.')[0] as RefId);
    return record && publicId(record) === id ? record : undefined;
  }

  #handleOf(ref: ImmutableRef): ImmutableHandle {
    if (!(ref instanceof ImmutableHandle)) {
      throw new KilnError('invalid_argument', `ref ${ref.id} belongs to another store`);
    }
    return ref;
  }

  #recordOf(ref: ImmutableRef): RefRecord {
    return this.#handleOf(ref).record;
  }

  /** The record of a ref that is going to be built on. */
  async #finalRecordOf(ref: ImmutableRef): Promise<RefRecord> {
    const record = this.#recordOf(ref);
    await this.finalize(record);
    return record;
  }
}

/** How the names of a key's trees begin that were made on a parent. */
function keyOnParent(key: string): string {
  return `${key} on `;
}

function layerOrigin(parent: RefId | undefined): { readonly kind: 'layer'; readonly parent?: RefId } {
  return parent === undefined ? { kind: 'layer' } : { kind: 'layer', parent };
}
