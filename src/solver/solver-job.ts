import { abortError, throwIfAborted } from '../base/async/lifetime.ts';
import type { Digest } from '../base/digest.ts';
import { asKilnError, KilnError } from '../base/errors.ts';
import { knownEdges } from './edge/known-edges.ts';
import { EdgeRequest } from './edge-request.ts';
import type { AttachedJob } from './graph/attached-job.ts';
import type { SharedGraph } from './graph/shared-graph.ts';
import type {
  CacheSource,
  Edge,
  Job,
  KnownEdge,
  Operation,
  OperationContext,
  OutputKeys,
  Solved,
  SolverEvents,
  Vertex,
  VertexInspection,
} from './solver.ts';
import { canceled, OperationCall } from './vertex/operation-call.ts';
import type { VertexNode } from './vertex/vertex-node.ts';
import { canceledText, VertexProgress } from './vertex/vertex-progress.ts';

export interface SolverJobOptions<R, C> {
  readonly id: string;
  readonly context: C;
  readonly events: SolverEvents;
  readonly cacheSources: readonly CacheSource<R>[];
  readonly graph: SharedGraph<R, C>;
  readonly onClosed: () => void;
}

interface Work {
  readonly digest: Digest;
  readonly name: string;
  readonly ended: Promise<unknown>;
}

export class SolverJob<R, C> implements Job<R, C>, AttachedJob<R, C> {
  readonly id: string;
  readonly context: C;
  readonly events: SolverEvents;
  readonly cacheSources: CacheSource<R>[];
  readonly #graph: SharedGraph<R, C>;
  readonly #onClosed: () => void;
  readonly #nodes = new Map<Vertex<R, C>, VertexNode<R, C>>();
  readonly #requests = new Set<EdgeRequest<R, C>>();
  readonly #works = new Map<OperationCall<C>, Work>();
  #closing: Promise<void> | undefined;

  constructor(options: SolverJobOptions<R, C>) {
    this.id = options.id;
    this.context = options.context;
    this.events = options.events;
    this.cacheSources = [...options.cacheSources];
    this.#graph = options.graph;
    this.#onClosed = options.onClosed;
  }

  async build(edge: Edge<R, C>, signal?: AbortSignal): Promise<Solved<R>> {
    const check = () => {
      throwIfAborted(signal);
      this.#throwIfClosed();
    };
    check();
    const node = await this.#graph.attach(edge.vertex, { job: this, nodes: this.#nodes, check });
    check();
    const request = new EdgeRequest(node.edge(edge.index), this.#graph.environment.traits);
    const stop = () => request.cancel(abortError(signal!));
    signal?.addEventListener('abort', stop, { once: true });
    this.#requests.add(request);
    try {
      return await request.start();
    } finally {
      this.#requests.delete(request);
      signal?.removeEventListener('abort', stop);
    }
  }

  addCacheSource(source: CacheSource<R>): void {
    this.cacheSources.push(source);
  }

  async known(edge: Edge<R, C>): Promise<readonly KnownEdge<R>[]> {
    this.#throwIfClosed();
    const node = this.#nodes.get(edge.vertex);
    if (!node) throw new KilnError('internal', `job ${this.id} has not built ${edge.vertex.name}`);
    return await knownEdges(node.edge(edge.index), this.#graph.environment.traits);
  }

  async inProgress<T>(
    vertex: { readonly digest: Vertex<R, C>['digest']; readonly name: string },
    work: (context: OperationContext<C>) => Promise<T>,
  ): Promise<T> {
    this.#throwIfClosed();
    const progress = new VertexProgress({ ...vertex, inputs: [] }, this.#graph.environment.now);
    const call = new OperationCall<C>(progress, () => [this.context]);
    progress.join(this.events, vertex.name);
    progress.started();
    const running = (async () => work(call))();
    this.#works.set(call, { digest: vertex.digest, name: vertex.name, ended: running });
    try {
      const value = await running;
      progress.completed();
      return value;
    } catch (cause) {
      progress.completed({ error: call.aborted ? canceledText : asKilnError(cause).message });
      throw cause;
    } finally {
      this.#works.delete(call);
    }
  }

  operationOf(vertex: Vertex<R, C>): Operation<R, C> {
    return (this.#nodes.get(vertex)?.definition ?? vertex).operation;
  }

  keysOf(vertex: Vertex<R, C>): readonly OutputKeys[] {
    const edges = this.#nodes.get(vertex)?.edges ?? [];
    return edges.map(({ index, keys }) => ({ index, keys: [...keys.current, ...keys.forced] }));
  }

  /** The work that is no vertex of the graph. */
  inspectWorks(): VertexInspection[] {
    return [...this.#works].map(([call, { digest, name }]) => ({
      digest,
      name,
      jobs: [this.id],
      state: 'in progress',
      waitsFor: call.waits,
    }));
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    const { queue, releases } = this.#graph.environment;
    for (const request of this.#requests) request.cancel(canceled());
    for (const call of this.#works.keys()) call.abort();
    await Promise.allSettled([...this.#works.values()].map(({ ended }) => ended));
    // After that, no build of this job attaches vertices any more, and it is known what only this job wanted.
    await queue.idle();
    const nodes = [...new Set(this.#nodes.values())];
    this.#nodes.clear();
    // From consumers to inputs: a consumer that leaves the graph releases what only it retained.
    await queue.walk(nodes.toReversed(), (node) => node.detach(this));
    for (const node of nodes) if (!node.idle) await this.#ended(node);
    await queue.idle();
    await releases.settled();
    this.#onClosed();
  }

  /** What was found is saved, whoever found it; and what only this job wanted has stopped. */
  async #ended(node: VertexNode<R, C>): Promise<void> {
    await node.stores.saved();
    if (node.jobs.size === 0 && !node.wanted) await node.quiet();
  }

  #throwIfClosed(): void {
    if (this.#closing) throw new KilnError('canceled', `job ${this.id} has ended`);
  }
}
