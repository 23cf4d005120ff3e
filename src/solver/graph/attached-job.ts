import type { CacheSource, SolverEvents } from '../solver.ts';

/** A job as the vertices that it needs see it. */
export interface AttachedJob<R, C> {
  readonly id: string;
  readonly context: C;
  readonly events: SolverEvents;
  readonly cacheSources: readonly CacheSource<R>[];
}
