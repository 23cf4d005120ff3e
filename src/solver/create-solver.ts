import { Semaphore } from '../base/async/lifetime.ts';
import { KilnError } from '../base/errors.ts';
import { inspectGraph } from './graph/inspect-graph.ts';
import { ReleaseTracker } from './graph/release-tracker.ts';
import { RunQueue } from './graph/run-queue.ts';
import { SharedGraph } from './graph/shared-graph.ts';
import type { KeyStore } from './key-store.ts';
import type {
  Job,
  JobOptions,
  ResultStore,
  ResultTraits,
  Solver,
  SolverEvents,
  SolverObserver,
  VertexInspection,
} from './solver.ts';
import { SolverJob } from './solver-job.ts';

export interface SolverOptions<R> {
  readonly traits: ResultTraits<R>;
  readonly results: ResultStore<R>;
  readonly keyStore: KeyStore;
  /** How many vertices execute at once; undefined: no limit. */
  readonly maxParallelism?: number;
  /** Milliseconds since 1970; the system's clock by default. */
  readonly clock?: () => number;
  readonly observer?: SolverObserver;
}

export function createSolver<R, C>(options: SolverOptions<R>): Solver<R, C> {
  return new SharedGraphSolver<R, C>(options);
}

class SharedGraphSolver<R, C> implements Solver<R, C> {
  readonly #graph: SharedGraph<R, C>;
  readonly #jobs = new Map<string, SolverJob<R, C>>();
  #closed = false;

  constructor(options: SolverOptions<R>) {
    const now = options.clock ?? Date.now;
    this.#graph = new SharedGraph({
      traits: options.traits,
      results: options.results,
      keyStore: options.keyStore,
      queue: new RunQueue(now),
      releases: new ReleaseTracker(),
      now,
      slots: options.maxParallelism === undefined ? undefined : new Semaphore(options.maxParallelism),
      observer: options.observer,
      leaders: new Map(),
    });
  }

  createJob(id: string, context: C, events: SolverEvents, options: JobOptions<R> = {}): Job<R, C> {
    if (this.#closed) throw new KilnError('unavailable', 'the solver is closed');
    if (this.#jobs.has(id)) throw new KilnError('already_exists', `a job named ${id} is running`);
    const job = new SolverJob<R, C>({
      id,
      context,
      events,
      cacheSources: options.cacheSources ?? [],
      graph: this.#graph,
      onClosed: () => this.#jobs.delete(id),
    });
    this.#jobs.set(id, job);
    return job;
  }

  inspect(): readonly VertexInspection[] {
    const works = [...this.#jobs.values()].flatMap((job) => job.inspectWorks());
    return [...inspectGraph(this.#graph.nodes), ...works];
  }

  async close(): Promise<void> {
    this.#closed = true;
    const { queue, releases } = this.#graph.environment;
    await Promise.all([...this.#jobs.values()].map((job) => job.close()));
    // What one job's vertex did for a follower in another job may still be saved after both are gone.
    await Promise.all(this.#graph.nodes.map((node) => node.quiet()));
    await queue.idle();
    await releases.settled();
    releases.throwIfFailed();
    const { nodes } = this.#graph;
    if (nodes.length === 0) return;
    const names = nodes.slice(0, 5).map((node) => node.definition.name);
    throw new KilnError(
      'internal',
      `the solver still holds ${nodes.length} vertices after its last job: ${names.join(', ')}`,
    );
  }
}
