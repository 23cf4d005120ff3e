import { KilnError } from '../base/errors.ts';
import type { WaitContext } from '../base/progress.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import { joinLayers } from '../snapshot/layer-list.ts';
import type { HandleServices } from './handles/handle-services.ts';
import { finalRecordOf, handleOf, openHandle } from './handles/immutable-handle.ts';
import { MutableHandle } from './handles/mutable-handle.ts';
import type { LazyLayers } from './layers/lazy-layers.ts';
import { layersOf } from './records/record-layers.ts';
import { type RecordOrigin, scratchId } from './records/ref-record.ts';
import type { ImmutableRef, MutableRef, RecordOptions, RefId } from './ref.ts';
import type { RefStore } from './ref-store.ts';

/** Trees that a merge may get from merges in it: each has a record of all that are in those below, so a chain grows with its square. */
const maxMerged = 4_096;

/** Refs over records in memory and in the database. */
export class LocalRefStore implements RefStore {
  readonly #services: HandleServices;
  readonly #lazyLayers: LazyLayers;

  constructor(services: HandleServices, lazyLayers: LazyLayers) {
    this.#services = services;
    this.#lazyLayers = lazyLayers;
  }

  has(id: RefId): boolean {
    return this.#services.records.findPublic(id) !== undefined;
  }

  async get(id: RefId): Promise<ImmutableRef | undefined> {
    const record = this.#services.records.findPublic(id);
    if (!record || record.state === 'mutable') return undefined;
    // Retained before the first wait, so that it can be neither pruned nor thawed meanwhile.
    const ref = openHandle(record, this.#services);
    if (await this.#lazyLayers.canMaterialize(record)) return ref;
    await ref.release();
    return undefined;
  }

  layerBlobs(id: RefId): readonly Descriptor[] | undefined {
    const { records } = this.#services;
    const record = records.findPublic(id);
    // The layer on top comes first: most trees have none with a blob, and many layers.
    if (!record || (record.origin.kind === 'layer' && record.blobs.length === 0)) return undefined;
    const blobs = layersOf(record, records).map((layer) => layer.blobs[0]?.descriptor);
    return blobs.every((blob) => blob !== undefined) ? blobs : undefined;
  }

  async scratch(): Promise<ImmutableRef> {
    return this.#open(scratchId);
  }

  async createMutable(
    parent: ImmutableRef | undefined,
    options: RecordOptions,
    context?: WaitContext,
  ): Promise<MutableRef> {
    const below = parent && (await finalRecordOf(parent, this.#services));
    const record = await this.#services.lifecycle.prepare(below, options, context);
    return new MutableHandle(record, this.#services);
  }

  async merge(refs: readonly ImmutableRef[], options: RecordOptions): Promise<ImmutableRef> {
    const records = await Promise.all(refs.map((ref) => finalRecordOf(ref, this.#services)));
    const parents = joinLayers(
      records.map(({ id, origin }) => (origin.kind === 'merge' ? origin.parents : [id])),
    );
    if (parents.length > Math.max(maxMerged, refs.length)) {
      throw new KilnError(
        'resource_exhausted',
        `a merge of merges has ${parents.length} trees, more than ${maxMerged}: ${options.description}`,
        { hint: 'copy some of them into one' },
      );
    }
    const [only] = parents;
    if (only === undefined) return this.scratch();
    if (parents.length === 1) return this.#open(only);
    return this.#createJoined({ kind: 'merge', parents }, options);
  }

  async diff(
    lower: ImmutableRef | undefined,
    upper: ImmutableRef | undefined,
    options: RecordOptions,
  ): Promise<ImmutableRef> {
    const below = lower ? (await finalRecordOf(lower, this.#services)).id : scratchId;
    const above = upper ? (await finalRecordOf(upper, this.#services)).id : scratchId;
    if (below === scratchId) return this.#open(above);
    return this.#createJoined({ kind: 'diff', lower: below, upper: above }, options);
  }

  async thaw(ref: ImmutableRef): Promise<MutableRef | undefined> {
    const handle = handleOf(ref);
    const { record } = handle;
    if (!this.#services.lifecycle.thaw(record)) return undefined;
    handle.surrender();
    return new MutableHandle(record, this.#services);
  }

  retire(id: RefId): void {
    this.#services.lifecycle.retire(id);
  }

  #createJoined(origin: RecordOrigin, options: RecordOptions): ImmutableRef {
    const record = this.#services.records.create({ ...options, origin, state: 'committed' });
    return openHandle(record, this.#services);
  }

  #open(id: RefId): ImmutableRef {
    return openHandle(this.#services.records.require(id), this.#services);
  }
}
