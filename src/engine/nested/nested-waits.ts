import type { Digest } from '../../base/digest.ts';
import { KilnError } from '../../base/errors.ts';
import type { NestedGraph } from './nested-graphs.ts';

/**
 * Which running vertices wait for which others by the graphs that they came to, in all builds of an engine: equal vertices run once, so vertices of
 * several builds, too, could wait for each other for ever.
 */
export class NestedWaits {
  /** By the vertex that waits; one entry for each build that solves its graph. */
  readonly #running = new Map<string, Set<ReadonlySet<string>>>();

  /**
   * Notes, until it is disposed, that a vertex waits for its graph. Throws `failed_precondition` if the graph has that vertex, or one that waits for
   * it.
   */
  enter({ vertex, graph, nesting: { rights } }: NestedGraph): Disposable {
    const own = keyOf(rights, vertex.digest);
    const awaited = new Set<string>();
    for (const { digest, op } of graph.vertices.values()) {
      if (op.action.kind === 'build') awaited.add(keyOf(rights, digest));
    }
    if (this.#leadsTo(own, awaited)) throw containsItself(vertex.digest, awaited.has(own));
    const waits = this.#running.get(own) ?? new Set();
    this.#running.set(own, waits.add(awaited));
    return {
      [Symbol.dispose]: () => {
        waits.delete(awaited);
        if (waits.size === 0 && this.#running.get(own) === waits) this.#running.delete(own);
      },
    };
  }

  #leadsTo(wanted: string, from: Iterable<string>): boolean {
    const seen = new Set(from);
    // What is added while it is iterated is visited, too.
    for (const key of seen) {
      if (key === wanted) return true;
      for (const awaited of this.#running.get(key) ?? []) for (const next of awaited) seen.add(next);
    }
    return false;
  }
}

function keyOf(rights: string, digest: Digest): string {
  return `${digest} ${rights}`;
}

function containsItself(digest: Digest, directly: boolean): KilnError {
  const how = directly
    ? 'it has that vertex itself'
    : 'it has a vertex whose own definition leads back to it';
  return new KilnError(
    'failed_precondition',
    `the definition that LLB vertex ${digest} is built from contains itself: ${how}`,
    { hint: 'what a definition is made of has to be built without its result' },
  );
}
