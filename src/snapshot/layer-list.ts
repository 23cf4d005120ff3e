/** The layers that show, bottom first: of one that appears twice the upper covers the lower. */
export function uncoveredLayers(layers: readonly string[]): string[] {
  return [...new Set(layers.toReversed())].reverse();
}

/** Layers beyond which those that are covered are left out: merges of merges would double them each time. */
const manyLayers = 128;

/** The layers of trees that lie on each other, bottom first. */
export function joinLayers(trees: readonly (readonly string[])[]): string[] {
  const layers: string[] = [];
  for (const tree of trees) for (const layer of tree) layers.push(layer);
  return layers.length <= manyLayers ? layers : uncoveredLayers(layers);
}

/** What `layers` has above `base`, when they start with it; undefined when they do not. */
export function layersAbove(base: readonly string[], layers: readonly string[]): string[] | undefined {
  return base.every((layer, index) => layers[index] === layer) ? layers.slice(base.length) : undefined;
}
