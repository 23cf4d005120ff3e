import type { KilnError } from '../base/errors.ts';
import type { EdgeNode } from './edge-node.ts';

/** The passes over the inputs while an edge looks for itself in caches, cheapest first. */
export type Phase = 'definition' | 'imported' | 'content';

/**
 * The life of an edge. It moves only while somebody waits for it, and no further than the awaited level; left
 * alone, it stays where it is, with what it learnt.
 *
 *   unmapped ──cache map──► matching ──all phases missed──► gathering ──inputs there──► executing
 *      │                   (definition,                     │   ▲   │                     │  │
 *      │                    imported,                       │   │   └─equal work runs─► following
 *      │                    content)                        │   └── aborted, wanted again ┤  │
 *      │                        │                           │                            │  │
 *      │                        └──found and loaded──► done ◄┴──found at last moment      │  │
 *      │                                                ▲                                │  │
 *      │                                                └────────────────────────────────┴──┘
 *      └── any state ──an input or the vertex fails──► failed ──a new job comes──► unmapped, matching
 */
export type EdgeState<R, C> =
  | { readonly kind: 'unmapped' }
  | { readonly kind: 'matching'; readonly phase: Phase }
  | { readonly kind: 'gathering' }
  | { readonly kind: 'executing' }
  | { readonly kind: 'following'; readonly leader: EdgeNode<R, C>; readonly waiter: Waiter }
  | { readonly kind: 'done'; readonly result: R; readonly cached: boolean }
  | { readonly kind: 'failed'; readonly error: KilnError };

/** The one call to a store that an edge has under way. */
export type EdgeActivity = 'none' | 'looking up keys' | 'looking up results' | 'loading';

/** Whoever waits for an edge to reach a level. Told once: when it has, or when the edge has failed. */
export interface Waiter {
  woken(): void;
}
