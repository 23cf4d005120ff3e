import type { Descriptor } from './descriptor.ts';

const prefix = 'containerd.io/distribution.source.';

/** Repositories that a layer remembers of one registry. A push tries no more of them than a few. */
const maxRepositories = 8;

/**
 * Returns the layer with the repositories that `other`, the same layer, is known to be in, and before them its own; the layer itself
 * if it has them all. They are noted as containerd notes them: names by commas, for each registry's host.
 */
export function withSourcesOf(layer: Descriptor, { annotations: others = {} }: Descriptor): Descriptor {
  const added: [string, string][] = [];
  for (const [name, repositories] of Object.entries(others)) {
    if (!name.startsWith(prefix)) continue;
    const own = repositoriesOf(layer.annotations?.[name]);
    const all = [...new Set([...own, ...repositoriesOf(repositories)])].slice(0, maxRepositories);
    if (all.length > own.length) added.push([name, all.join(',')]);
  }
  if (added.length === 0) return layer;
  return {
    ...layer,
    annotations: Object.fromEntries([...Object.entries(layer.annotations ?? {}), ...added]),
  };
}

function repositoriesOf(names = ''): readonly string[] {
  return names.split(',').filter((name) => name !== '');
}
