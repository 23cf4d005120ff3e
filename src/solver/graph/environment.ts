import type { Semaphore } from '../../base/async/lifetime.ts';
import type { KeyId, KeyStore } from '../key-store.ts';
import type { ResultStore, ResultTraits, SolverObserver } from '../solver.ts';
import type { VertexPort } from './node-ports.ts';
import type { ReleaseTracker } from './release-tracker.ts';
import type { RunQueue } from './run-queue.ts';

/** What all nodes of one solver share. */
export interface Environment<R, C> {
  readonly traits: ResultTraits<R>;
  readonly results: ResultStore<R>;
  readonly keyStore: KeyStore;
  readonly queue: RunQueue;
  readonly releases: ReleaseTracker;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  /** Slots for executing vertices; undefined: no limit. */
  readonly slots: Semaphore | undefined;
  readonly observer: SolverObserver | undefined;
  /** Vertices that execute, or were executed and are still in the graph, by the key that their inputs give them. */
  readonly leaders: Map<KeyId, VertexPort<R, C>>;
}
