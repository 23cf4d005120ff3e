import { KilnError } from '../../base/errors.ts';
import type { OpGraph, OpVertex } from '../../llb/graph.ts';
import type { ImmutableRef } from '../../ref/ref.ts';

/** Where a graph stands that vertices may come to while they run. */
export interface Nesting {
  /** What the build may do that others may not, and what its policies forbid: see `build-rights.ts`. Empty for what every build may. */
  readonly rights: string;
  /** How many vertices the graph is nested in. */
  readonly depth: number;
}

/** A graph that a vertex came to. */
export interface NestedGraph {
  /** The vertex. */
  readonly vertex: OpVertex;
  readonly graph: OpGraph;
  readonly nesting: Nesting;
}

/** Solves a graph with some rights. Returns the tree, which the caller owns; undefined for the empty one. */
export type SolveNested = (nested: NestedGraph, signal: AbortSignal) => Promise<ImmutableRef | undefined>;

/** How one build solves nested graphs. Its requests can have different rights, as policies may come with them. */
export class NestedGraphs {
  readonly #byRights = new Map<string, SolveNested>();

  /** `solve` is good for every graph with these rights. */
  add(rights: string, solve: SolveNested): void {
    this.#byRights.set(rights, solve);
  }

  async solve(nested: NestedGraph, signal: AbortSignal): Promise<ImmutableRef | undefined> {
    const solve = this.#byRights.get(nested.nesting.rights);
    if (solve) return await solve(nested, signal);
    throw new KilnError('internal', `a build has not loaded vertex ${nested.vertex.digest}`);
  }
}
