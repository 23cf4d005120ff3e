import { mapLimit } from '../../base/async/lifetime.ts';
import type { Digest } from '../../base/digest.ts';
import type { BlobOptions, LayerExport } from '../../ref/layer-export.ts';
import type { ImmutableRef, LayerBlob } from '../../ref/ref.ts';
import type { CacheConfig, ConfigLayer, ConfigRecord } from '../config/cache-config.ts';
import type { CollectedRecord } from './collect-records.ts';

/** What an export writes: a config, and the blobs that it refers to. */
export interface CacheContents {
  readonly config: CacheConfig;
  readonly blobs: ReadonlyMap<Digest, LayerBlob>;
}

const resultsAtOnce = 8;

/** Makes the blobs of all results, and the config that names them. `onLayer` gets every layer as soon as it is made. */
export async function cacheContents(
  records: readonly CollectedRecord[],
  layerExport: LayerExport,
  options: BlobOptions,
  onLayer: (layer: LayerBlob) => void,
): Promise<CacheContents> {
  const made = await mapLimit(
    records,
    resultsAtOnce,
    async ({ result }, _index, signal) => {
      if (!result) return undefined;
      const blobs = await layerExport.blobs(result.ref, { ...options, signal });
      for (const blob of blobs) onLayer(blob);
      return blobs;
    },
    options.signal,
  );
  const layers = new Layers();
  const kept = records.map(({ digest, inputs, result }, index): ConfigRecord => {
    if (!result) return { digest, inputs, results: [] };
    const top = layers.add(made[index]!);
    return { digest, inputs, results: [{ layers: { kind: 'chain', top }, createdAt: result.createdAt }] };
  });
  return { config: { layers: layers.list, records: kept }, blobs: layers.blobs };
}

/** The records of results that are made of layers of `image` and nothing else, as positions of these layers. */
export function inlineRecords(
  records: readonly CollectedRecord[],
  image: ImmutableRef,
): readonly ConfigRecord[] {
  const positions = new Map(image.layers().map(({ id }, index) => [id, index]));
  return records.map(({ digest, inputs, result }): ConfigRecord => {
    const layers = result?.ref.layers().map(({ id }) => positions.get(id));
    if (!result || !layers?.every((layer) => layer !== undefined)) return { digest, inputs, results: [] };
    const inOrder = layers.every((layer, index) => layer === index);
    const made = inOrder
      ? ({ kind: 'chain', top: layers.length - 1 } as const)
      : ({ kind: 'list', layers } as const);
    return { digest, inputs, results: [{ layers: made, createdAt: result.createdAt }] };
  });
}

/** Layers, each once for what is below it. */
class Layers {
  readonly list: ConfigLayer[] = [];
  readonly blobs = new Map<Digest, LayerBlob>();
  readonly #positions = new Map<string, number>();

  /** Returns the position of the topmost one. There is at least one. */
  add(blobs: readonly LayerBlob[]): number {
    let parent: number | undefined;
    for (const blob of blobs) {
      const { digest } = blob.descriptor;
      const text = `${digest} ${parent}`;
      let position = this.#positions.get(text);
      if (position === undefined) {
        position = this.list.push({ blob: digest, parent }) - 1;
        this.#positions.set(text, position);
        this.blobs.set(digest, blob);
      }
      parent = position;
    }
    return parent!;
  }
}
