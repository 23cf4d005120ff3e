import { mapLimit } from '../base/async/lifetime.ts';
import { SingleFlight } from '../base/async/single-flight.ts';
import { KilnError } from '../base/errors.ts';
import type { ContentStore } from '../content/content.ts';
import type { Differ } from '../layer-blob/differ.ts';
import { layerCompression, translateLayerType } from '../oci/media-type.ts';
import type { Snapshotter } from '../snapshot/snapshot.ts';
import type { LazyLayers } from './lazy-layers.ts';
import type { BlobOptions, LayerBlob } from './ref.ts';
import { parentsOf, type RefRecord, type StoredBlob, snapshotOf } from './ref-record.ts';
import type { RefRecords } from './ref-records.ts';

/** How BuildKit says in a descriptor which times a layer was given. */
const rewrittenTimestamp = 'buildkit/rewritten-timestamp';

export interface LayerBlobsOptions {
  readonly records: RefRecords;
  readonly lazyLayers: LazyLayers;
  readonly snapshotter: Snapshotter;
  readonly content: ContentStore;
  readonly differ: Differ;
  /** How many layers are worked on at once. */
  readonly parallelism: number;
}

/** Finds or makes the blobs of layers, and remembers them. */
export class LayerBlobs {
  readonly #options: LayerBlobsOptions;
  readonly #making = new SingleFlight<StoredBlob>();

  constructor(options: LayerBlobsOptions) {
    this.#options = options;
  }

  /** One blob for each layer of `record`, bottom first. Layers that came as blobs keep their times whatever the epoch. */
  ofRecord(record: RefRecord, options: BlobOptions): Promise<LayerBlob[]> {
    const { records, parallelism } = this.#options;
    return mapLimit(
      records.layers(record),
      parallelism,
      async (layer, _, signal) => {
        const { descriptor, diffId, epoch } = await this.#ofLayer(layer, { ...options, signal });
        const mediaType = translateLayerType(descriptor.mediaType, options.mediaTypes);
        const rewritten = epoch !== undefined && {
          annotations: { ...descriptor.annotations, [rewrittenTimestamp]: String(epoch) },
        };
        return {
          descriptor: { ...descriptor, mediaType, ...rewritten },
          diffId,
          createdAt: layer.createdAt,
          description: layer.description,
        };
      },
      options.signal,
    );
  }

  async #ofLayer(layer: RefRecord, options: BlobOptions): Promise<StoredBlob> {
    const existing = this.#choose(layer, options);
    if (existing) return existing;
    const key = `${layer.id} ${options.compression} ${epochOf(layer, options) ?? ''}`;
    return await this.#making.run(
      key,
      async ({ signal, progress }) =>
        this.#choose(layer, options) ?? (await this.#make(layer, { ...options, signal, progress })),
      options,
    );
  }

  #choose(layer: RefRecord, options: BlobOptions): StoredBlob | undefined {
    const epoch = epochOf(layer, options);
    const usable = layer.blobs.filter((blob) => blob.epoch === epoch);
    return (
      usable.find((blob) => layerCompression(blob.descriptor.mediaType) === options.compression) ??
      (options.force ? undefined : usable[0])
    );
  }

  async #make(layer: RefRecord, options: BlobOptions): Promise<StoredBlob> {
    const { records, lazyLayers, content, differ } = this.#options;
    const epoch = epochOf(layer, options);
    const diffOptions = { ...options, epoch };
    const source = layer.blobs.find((blob) => blob.epoch === epoch);
    if (source) await lazyLayers.fetch(source.descriptor, options);
    else await lazyLayers.make(layer, options);
    const made = source
      ? await differ.convert(source.descriptor, content, diffOptions)
      : await differ.diff(await this.#changesOf(layer), content, diffOptions);
    if (source) lazyLayers.verify(layer, source.descriptor, made.diffId);
    const blob: StoredBlob = { ...made, ...(epoch === undefined ? {} : { epoch }) };
    records.addBlob(layer, blob);
    return blob;
  }

  /** What the layer changed against its parent. */
  async #changesOf(layer: RefRecord) {
    const { records, snapshotter } = this.#options;
    const [parent] = layer.origin.kind === 'layer' ? parentsOf(layer.origin) : [];
    const changes = await snapshotter.changes(
      snapshotOf(layer),
      parent === undefined ? undefined : snapshotOf(records.require(parent)),
    );
    const last = changes.at(-1);
    if (!last) throw new KilnError('internal', `layer ${layer.id} has no changes of its own`);
    return last;
  }
}

function epochOf(layer: RefRecord, options: BlobOptions): number | undefined {
  return layer.chainId === undefined ? options.epoch : undefined;
}
