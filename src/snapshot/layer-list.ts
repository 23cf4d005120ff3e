/** The layers that show, bottom first: of one that appears twice the upper covers the lower. */
export function uncoveredLayers(layers: readonly string[]): string[] {
  return [...new Set(layers.toReversed())].reverse();
}

/** What `layers` has above `base`, when they start with it; undefined when they do not. */
export function layersAbove(base: readonly string[], layers: readonly string[]): string[] | undefined {
  return base.every((layer, index) => layers[index] === layer) ? layers.slice(base.length) : undefined;
}
