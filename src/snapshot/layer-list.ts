/** Joins lists of layers, bottom first; of a layer that appears twice only the upper place counts, since it covers the lower one. */
export function stackLayers(lists: readonly (readonly string[])[]): string[] {
  return [...new Set(lists.flat().reverse())].reverse();
}

/** What `layers` has above `base`, when they start with it; undefined when they do not. */
export function layersAbove(base: readonly string[], layers: readonly string[]): string[] | undefined {
  return base.every((layer, index) => layers[index] === layer) ? layers.slice(base.length) : undefined;
}
