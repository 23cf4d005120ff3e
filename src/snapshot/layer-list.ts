/** The layers that show, bottom first: of one that appears twice the upper covers the lower. */
export function uncoveredLayers<Layer extends string>(layers: readonly Layer[]): Layer[] {
  return [...new Set(layers.toReversed())].reverse();
}

/** Layers beyond which those that are covered are left out: merges of merges would double them each time. */
const manyLayers = 128;

/** The layers of trees that lie on each other, bottom first. */
export function joinLayers<Layer extends string>(trees: readonly (readonly Layer[])[]): Layer[] {
  const layers: Layer[] = [];
  for (const tree of trees) for (const layer of tree) layers.push(layer);
  return layers.length <= manyLayers ? layers : uncoveredLayers(layers);
}

/** What `layers` has above `base`, when they start with it; undefined when they do not. */
export function layersAbove<Layer extends string>(
  base: readonly Layer[],
  layers: readonly Layer[],
): Layer[] | undefined {
  return base.every((layer, index) => layers[index] === layer) ? layers.slice(base.length) : undefined;
}
