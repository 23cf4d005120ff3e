import type { Digest } from '../base/digest.ts';
import type { SolverEvents } from '../solver/solver.ts';
import type { Explanation } from './explain/cause.ts';

/** What is told of one build while it runs. */
export interface JobEvents extends SolverEvents {
  /** Why a vertex that ran was not cached. */
  explanation(vertex: Digest, explanation: Explanation): void;
}
