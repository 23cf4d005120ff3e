import { contentKey } from '../cache-key.ts';
import type { EdgePort } from '../graph/node-ports.ts';
import type { KeyId, WayToKey } from '../key-store.ts';
import type { CacheSource, KnownEdge, KnownInput, ResultTraits } from '../solver.ts';

/** How `top` is known, and all that it depends on; see `Job.known`. Edges whose operation was never asked for its identity are left out. */
export async function knownEdges<R, C>(
  top: EdgePort<R, C>,
  traits: ResultTraits<R>,
): Promise<readonly KnownEdge<R>[]> {
  const positions = new Map<EdgePort<R, C>, number>();
  const known: KnownEdge<R>[] = [];
  for (const edge of inputsFirst(top)) {
    await edge.vertex.stores.saved();
    const map = edge.vertex.cacheMap;
    if (!map) continue;
    positions.set(edge, known.length);
    known.push({
      operation: map.digest,
      alternatives: map.alternatives ?? [],
      output: edge.index,
      inputs: await knownInputs(edge, positions),
      find: () => findResult(edge, traits),
    });
  }
  return known;
}

async function knownInputs<R, C>(
  edge: EdgePort<R, C>,
  positions: ReadonlyMap<EdgePort<R, C>, number>,
): Promise<readonly KnownInput[]> {
  const remembered = await waysFromContent(edge);
  return edge.inputs.map((known, position) => {
    const { source, cache } = known;
    const contents = new Set<KeyId>();
    const { selector, contentKey: content } = known.account();
    if (content !== undefined) contents.add(contentKey(content));
    for (const { from, input } of remembered) if (input === position) contents.add(from);
    return { edge: cache.contentOnly ? undefined : positions.get(source), selector, contents: [...contents] };
  });
}

/** The ways from content to what the edge is known by, of earlier builds and of imported caches. */
async function waysFromContent<R, C>(edge: EdgePort<R, C>): Promise<readonly WayToKey[]> {
  if (!edge.inputs.some(({ cache }) => cache.contentKey)) return [];
  const { keyStore, imported } = edge.vertex.stores;
  const sources = [keyStore, ...here(imported()).map(({ keys }) => keys)];
  const keys = [...edge.keys.current, ...edge.keys.forced];
  const ways = await Promise.all(sources.flatMap((source) => keys.map((key) => source.waysFromRecords(key))));
  return ways
    .flat()
    .filter(({ input, selector }) => selector === undefined && edge.inputs[input]?.cache.contentKey);
}

async function findResult<R, C>(
  edge: EdgePort<R, C>,
  traits: ResultTraits<R>,
): Promise<{ readonly result: R; readonly createdAt: Date } | undefined> {
  const { keyStore, results, imported } = edge.vertex.stores;
  const keys = [...edge.keys.current, ...edge.keys.forced];
  const records = await keyStore.results(keys);
  if (edge.outcome?.kind === 'done') {
    const id = traits.idOf(edge.outcome.result);
    const createdAt = records.find((record) => record.id === id)?.createdAt;
    return { result: traits.clone(edge.outcome.result), createdAt: createdAt ?? new Date() };
  }
  for (const { id, createdAt } of records) {
    const result = await results.load(id);
    if (result !== undefined) return { result, createdAt };
  }
  for (const source of here(imported())) {
    for (const { id, createdAt } of await source.keys.results(keys)) {
      const result = await source.results.load(id);
      if (result !== undefined) return { result, createdAt };
    }
  }
  return undefined;
}

function here<R>(caches: readonly CacheSource<R>[]): readonly CacheSource<R>[] {
  return caches.filter(({ pending }) => !pending);
}

/** `top` and all that it depends on, each once. */
function* inputsFirst<R, C>(top: EdgePort<R, C>): Iterable<EdgePort<R, C>> {
  const seen = new Set([top]);
  const trail = [{ edge: top, next: 0 }];
  for (let last = trail.at(-1); last; last = trail.at(-1)) {
    const input = last.edge.inputs[last.next++];
    if (!input) {
      trail.pop();
      yield last.edge;
    } else if (!seen.has(input.source)) {
      seen.add(input.source);
      trail.push({ edge: input.source, next: 0 });
    }
  }
}
