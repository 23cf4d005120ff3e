import { mapLimit } from '../base/async/lifetime.ts';
import { SingleFlight } from '../base/async/single-flight.ts';
import { KilnError } from '../base/errors.ts';
import type { WaitContext } from '../base/progress.ts';
import type { ContentStore } from '../content/content.ts';
import type { Differ } from '../layer-blob/differ.ts';
import { layerFormat } from '../oci/estargz.ts';
import { type LayerForm, layerForm, withLayerForm } from '../oci/layer-identity.ts';
import { translateLayerType } from '../oci/media-type.ts';
import type { Snapshotter } from '../snapshot/snapshot.ts';
import type { HandleServices } from './handles/handle-services.ts';
import { finalRecordOf } from './handles/immutable-handle.ts';
import type { BlobOptions, LayerExport } from './layer-export.ts';
import type { LazyLayers } from './layers/lazy-layers.ts';
import { layersOf } from './records/record-layers.ts';
import { parentsOf, type RefRecord, type StoredBlob, snapshotOf } from './records/ref-record.ts';
import type { ImmutableRef, LayerBlob } from './ref.ts';

/** The annotation in which BuildKit notes the epoch that a layer's file times were clamped to. */
const rewrittenTimestamp = 'buildkit/rewritten-timestamp';

export interface LayerExporterOptions {
  readonly services: HandleServices;
  readonly lazyLayers: LazyLayers;
  readonly snapshotter: Snapshotter;
  readonly content: ContentStore;
  readonly differ: Differ;
  /** The number of layers that are worked on at once. */
  readonly parallelism: number;
}

/** Finds or makes the blobs of layers, and records them. */
export class LayerExporter implements LayerExport {
  readonly #options: LayerExporterOptions;
  readonly #making = new SingleFlight<StoredBlob>();

  constructor(options: LayerExporterOptions) {
    this.#options = options;
  }

  /** Layers that came as blobs keep their file times whatever the epoch. */
  async blobs(ref: ImmutableRef, options: BlobOptions): Promise<readonly LayerBlob[]> {
    const { services, parallelism } = this.#options;
    // A tree of which blobs are made must not change any more.
    const record = await finalRecordOf(ref, services);
    const layers = layersOf(record, services.records);
    // What is made on a layer for Windows is for Windows.
    const isWindows = layers.some(({ blobs }) =>
      blobs.some(({ descriptor }) => layerForm(descriptor) === 'windows'),
    );
    const form = isWindows ? 'windows' : 'unix';
    return await mapLimit(
      layers,
      parallelism,
      async (layer, _, signal) => {
        const { descriptor, diffId, epoch } = await this.#ofLayer(layer, { ...options, form, signal });
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

  async ensureBlob({ descriptor }: LayerBlob, context: WaitContext): Promise<void> {
    await this.#options.lazyLayers.fetch(descriptor, context);
  }

  async #ofLayer(layer: RefRecord, options: LayerOptions): Promise<StoredBlob> {
    const existing = this.#choose(layer, options);
    if (existing) return existing;
    const key = `${layer.id} ${options.compression} ${epochOf(layer, options) ?? ''} ${options.form}`;
    return await this.#making.run(
      key,
      async ({ signal, progress }) =>
        this.#choose(layer, options) ?? (await this.#make(layer, { ...options, signal, progress })),
      options,
    );
  }

  #choose(layer: RefRecord, options: LayerOptions): StoredBlob | undefined {
    const usable = blobsFor(layer, options);
    return (
      usable.find((blob) => layerFormat(blob.descriptor) === options.compression) ??
      (options.force ? undefined : usable[0])
    );
  }

  async #make(layer: RefRecord, options: LayerOptions): Promise<StoredBlob> {
    const { services, lazyLayers, content, differ } = this.#options;
    const epoch = epochOf(layer, options);
    const diffOptions = { ...options, epoch };
    const [source] = blobsFor(layer, options);
    if (source) await lazyLayers.fetch(source.descriptor, options);
    else await lazyLayers.materialize(layer, options);
    const { tarDigest, ...made } = source
      ? await differ.convert(source.descriptor, content, { ...options, epoch: undefined })
      : await differ.diff(await this.#changesOf(layer), content, diffOptions);
    if (source) lazyLayers.verify(layer, source.descriptor, tarDigest ?? made.diffId);
    const descriptor = withLayerForm(made.descriptor, options.form);
    const blob: StoredBlob = { ...made, descriptor, ...(epoch === undefined ? {} : { epoch }) };
    services.records.addBlob(layer, blob);
    return blob;
  }

  /** Returns what the layer changed against its parent. */
  async #changesOf(layer: RefRecord) {
    const { services, snapshotter } = this.#options;
    const [parent] = layer.origin.kind === 'layer' ? parentsOf(layer.origin) : [];
    const changes = await snapshotter.changes(
      snapshotOf(layer),
      parent === undefined ? undefined : snapshotOf(services.records.require(parent)),
    );
    const last = changes.at(-1);
    if (!last) throw new KilnError('internal', `layer ${layer.id} has no changes of its own`);
    return last;
  }
}

interface LayerOptions extends BlobOptions {
  readonly form: LayerForm;
}

/** The blobs that differ from what is wanted in their compression at most. */
function blobsFor(layer: RefRecord, options: LayerOptions): readonly StoredBlob[] {
  const epoch = epochOf(layer, options);
  return layer.blobs.filter(
    ({ descriptor, ...blob }) => blob.epoch === epoch && layerForm(descriptor) === options.form,
  );
}

function epochOf(layer: RefRecord, options: BlobOptions): number | undefined {
  return layer.chainId === undefined ? options.epoch : undefined;
}
