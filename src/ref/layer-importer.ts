import { chainIds } from '../oci/manifest.ts';
import type { HandleServices } from './handles/handle-services.ts';
import { openHandle } from './handles/immutable-handle.ts';
import type { BlobProvider, LayerImport } from './layer-import.ts';
import { knownLayers } from './layers/known-layers.ts';
import type { LazyLayers } from './layers/lazy-layers.ts';
import { type NewRecord, newRefId, scratchId } from './records/ref-record.ts';
import type { ImmutableRef, LayerBlob, RecordOptions, RefId } from './ref.ts';

/** Records layers that came as blobs, on top of those of them that are recorded already. */
export class LayerImporter implements LayerImport {
  readonly #services: HandleServices;
  readonly #lazyLayers: LazyLayers;

  constructor(services: HandleServices, lazyLayers: LazyLayers) {
    this.#services = services;
    this.#lazyLayers = lazyLayers;
  }

  async fromBlobs(
    layers: readonly LayerBlob[],
    provider: BlobProvider,
    options: RecordOptions,
  ): Promise<ImmutableRef> {
    const { records } = this.#services;
    const chain = chainIds(layers.map(({ diffId }) => diffId));
    const known = knownLayers(layers, chain, records);
    const created: (NewRecord & { readonly id: RefId })[] = [];
    for (const [index, blob] of layers.entries().drop(known.count)) {
      const parent = created.at(-1)?.id ?? known.top?.id;
      created.push({
        id: newRefId(),
        origin: { kind: 'layer', ...(parent === undefined ? {} : { parent }) },
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
    const shared = known.top ? [known.top, ...records.ancestors(known.top)].reverse() : [];
    for (const [index, record] of shared.entries()) records.addSources(record, layers[index]!.descriptor);
    const top = records.createAll(created).at(-1) ?? known.top ?? records.require(scratchId);
    for (const { descriptor } of layers) {
      if (records.ownsBlob(descriptor.digest)) this.#lazyLayers.addProvider(descriptor.digest, provider);
    }
    return openHandle(top, this.#services);
  }

  offer(layers: readonly LayerBlob[], provider: BlobProvider): void {
    this.#lazyLayers.offer(
      layers.map(({ descriptor }) => descriptor),
      provider,
    );
  }
}
