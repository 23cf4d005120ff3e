import { inTurns } from '../../base/async/in-turns.ts';
import type { ConfigResult } from '../config/cache-config.ts';
import { inOrder, layersBelow } from '../config/parse-cache-config.ts';
import { ImportedKeys } from './imported-keys.ts';
import type { ReadCache } from './read-cache.ts';

/** A cache whose keys can be looked up. */
export interface LoadedCache extends ReadCache {
  readonly keys: ImportedKeys;
}

/** Makes the keys of a cache ready for look-ups. Results of which a layer cannot be had are left out. */
export async function loadCache(cache: ReadCache): Promise<LoadedCache> {
  const usable = usableLayers(cache);
  const isUsable = ({ layers }: ConfigResult) =>
    layers.kind === 'chain' ? usable.has(layers.top) : layers.layers.every((layer) => usable.has(layer));
  return { ...cache, keys: await inTurns(ImportedKeys.of(cache.config, isUsable)) };
}

/** The layers that can be had with all that is below them. */
function usableLayers({ config: { layers }, blobs }: ReadCache): ReadonlySet<number> {
  const usable = new Set<number>();
  const order = inOrder(layers, layersBelow)!;
  for (const position of order) {
    const { blob, parent } = layers[position]!;
    if (blobs.has(blob) && (parent === undefined || usable.has(parent))) usable.add(position);
  }
  return usable;
}
