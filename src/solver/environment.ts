import type { Semaphore } from '../base/async/lifetime.ts';
import type { KeyId, KeyStore } from './key-store.ts';
import type { ReleaseTracker } from './release-tracker.ts';
import type { RunQueue } from './run-queue.ts';
import type { CacheSource, ResultStore, ResultTraits, SolverEvents, SolverObserver } from './solver.ts';
import type { VertexNode } from './vertex-node.ts';

/** What all nodes of one solver share. */
export interface Environment<R, C> {
  readonly traits: ResultTraits<R>;
  readonly results: ResultStore<R>;
  readonly keyStore: KeyStore;
  readonly queue: RunQueue;
  readonly releases: ReleaseTracker;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  /** Slots for executing vertices; undefined: as many as there are. */
  readonly slots: Semaphore | undefined;
  readonly observer: SolverObserver | undefined;
  /** Every live node by its graph key. */
  readonly nodes: Map<string, VertexNode<R, C>>;
  /** Vertices that execute, or were executed and are still in the graph, by the key that their inputs give them. */
  readonly leaders: Map<KeyId, VertexNode<R, C>>;
}

/** A job as vertices see it. */
export interface Member<R, C> {
  readonly id: string;
  readonly context: C;
  readonly events: SolverEvents;
  readonly cacheSources: readonly CacheSource<R>[];
}
