import type { EdgeOutcome } from '../graph/node-ports.ts';
import type { Following } from './following.ts';

/** The passes over the inputs while an edge looks for itself in caches, cheapest first. */
export type Phase = 'definition' | 'imported' | 'content';

/**
 * The life of an edge. It moves only while somebody waits for it, and no further than the awaited level; left
 * alone, it stays where it is, with what it learnt.
 *
 *   unmapped ──cache map──► matching ──all phases missed──► gathering ──inputs there──► claimed or following
 *
 *   matching ───found and loaded───► done
 *   gathering ──found and loaded───► done
 *   claimed ────saved meanwhile────► done
 *           ────nothing was────────► executing ──► done
 *   following ──the leader is──────► done
 *
 *   claimed, following ──nobody waits────► gathering
 *   executing ───────────aborted─────────► gathering
 *   any but done ────────something fails─► failed ──a new job comes──► unmapped or matching
 */
export type EdgeState<R, C> =
  | { readonly kind: 'unmapped' }
  | { readonly kind: 'matching'; readonly phase: Phase }
  /** Has every input computed. */
  | { readonly kind: 'gathering' }
  /** Does what others would have to do, too, and takes a last look at what was saved meanwhile. */
  | { readonly kind: 'claimed' }
  | { readonly kind: 'executing' }
  | { readonly kind: 'following'; readonly following: Following<R, C> }
  | EdgeOutcome<R>;
