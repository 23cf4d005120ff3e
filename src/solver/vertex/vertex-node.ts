import type { Digest } from '../../base/digest.ts';
import { asKilnError, KilnError } from '../../base/errors.ts';
import { contentKey } from '../cache-key.ts';
import { EdgeNode } from '../edge/edge-node.ts';
import type { AttachedJob } from '../graph/attached-job.ts';
import type { Environment } from '../graph/environment.ts';
import type { EdgePort, VertexPort } from '../graph/node-ports.ts';
import type { Runnable } from '../graph/run-queue.ts';
import type { KeyId } from '../key-store.ts';
import type { CacheMap, CacheSource, OperationContext, Vertex } from '../solver.ts';
import { CacheStores } from './cache-stores.ts';
import { OperationCall } from './operation-call.ts';
import { UnderWay } from './under-way.ts';
import { withVertex } from './vertex-error.ts';
import { VertexProgress } from './vertex-progress.ts';

type Mapping<R, C> =
  | { readonly kind: 'unknown' }
  | { readonly kind: 'asking' }
  | { readonly kind: 'known'; readonly map: CacheMap<R, C> };

type Content =
  | { readonly kind: 'computing' }
  | { readonly kind: 'known'; readonly digest: Digest; readonly key: KeyId };

type Execution = 'idle' | 'waiting for a slot' | 'running';

export interface VertexNodeOptions<R, C> {
  /** Names the node in the graph. */
  readonly graphKey: string;
  readonly definition: Vertex<R, C>;
  readonly inputs: readonly EdgePort<R, C>[];
  readonly environment: Environment<R, C>;
  /** Takes the node out of the graph. */
  readonly onLeave: () => void;
}

/**
 * A vertex that some job needs: what all its outputs and all jobs share. It calls the operation, at most once at a
 * time for each purpose, and lives in the graph while a job or a consumer has it, somebody waits for it, or a call
 * has not ended.
 */
export class VertexNode<R, C> implements VertexPort<R, C>, Runnable {
  queued = false;
  readonly graphKey: string;
  readonly definition: Vertex<R, C>;
  readonly inputs: readonly EdgePort<R, C>[];
  readonly progress: VertexProgress;
  readonly stores: CacheStores<R>;
  readonly jobs = new Set<AttachedJob<R, C>>();
  readonly #environment: Environment<R, C>;
  readonly #onLeave: () => void;
  readonly #edges: EdgeNode<R, C>[] = [];
  readonly #content: (Content | undefined)[] = [];
  readonly #calls = new Set<OperationCall<C>>();
  readonly #followers = new Set<VertexPort<R, C>>();
  /** All calls, to the operation and to stores. */
  readonly #underWay = new UnderWay();
  #mapping: Mapping<R, C> = { kind: 'unknown' };
  #execution: Execution = 'idle';
  #failure: KilnError | undefined;
  /** Edges that somebody waits for. */
  #wantedEdges = 0;
  /** Consumers and followers that need this node to stay. */
  #retained = 0;
  #departures = 0;
  /** The key under which this vertex is in `leaders`. */
  #leadership: KeyId | undefined;
  #lastJob: AttachedJob<R, C> | undefined;
  #left = false;

  constructor({ graphKey, definition, inputs, environment, onLeave }: VertexNodeOptions<R, C>) {
    this.graphKey = graphKey;
    this.definition = definition;
    this.inputs = inputs;
    this.#environment = environment;
    this.#onLeave = onLeave;
    this.progress = new VertexProgress(
      {
        digest: definition.digest,
        inputs: definition.inputs.map((input) => input.vertex.digest),
        group: definition.group,
      },
      environment.now,
    );
    this.stores = new CacheStores({
      keyStore: environment.keyStore,
      results: environment.results,
      imported: () => this.#importedCaches(),
      progress: this.progress,
      underWay: this.#underWay,
      onEnded: () => this.#leaveIfUnneeded(),
    });
    for (const input of inputs) input.vertex.retain();
  }

  edge(index: number): EdgeNode<R, C> {
    for (const edge of this.#edges) if (edge.index === index) return edge;
    const edge = new EdgeNode<R, C>(this, index, this.#environment);
    this.#edges.push(edge);
    if (this.#failure) edge.fail(this.#failure);
    return edge;
  }

  get edges(): readonly EdgeNode<R, C>[] {
    return this.#edges;
  }

  // Who needs it

  /** A job that comes after a failure tries again. `name`: what the job calls the vertex. */
  attach(job: AttachedJob<R, C>, name: string): void {
    if (this.jobs.has(job)) return;
    this.jobs.add(job);
    this.#failure = undefined;
    for (const edge of this.#edges) edge.revive();
    this.progress.join(job.events, name);
    for (const call of this.#calls) call.joined(job.context);
  }

  detach(job: AttachedJob<R, C>): void {
    if (!this.jobs.delete(job)) return;
    this.#departures++;
    this.#lastJob = job;
    this.progress.leave(job.events);
    this.#leaveIfUnneeded();
  }

  retain(): void {
    this.#retained++;
  }

  release(): void {
    this.#retained--;
    this.#leaveIfUnneeded();
  }

  edgeWanted(): void {
    this.#wantedEdges++;
  }

  edgeUnwanted(): void {
    this.#wantedEdges--;
  }

  get wanted(): boolean {
    return this.#wantedEdges > 0;
  }

  abortIfUnwanted(): void {
    if (!this.wanted) for (const call of this.#calls) call.abort();
    this.#leaveIfUnneeded();
  }

  /** Nothing is under way, and nothing is left to be saved. */
  get idle(): boolean {
    return this.#underWay.none && !this.stores.saving;
  }

  quiet(): Promise<void> {
    return this.#underWay.settled();
  }

  #leaveIfUnneeded(): void {
    if (this.#unneeded) this.#environment.queue.enqueue(this);
  }

  get #unneeded(): boolean {
    return !this.#left && this.jobs.size === 0 && this.#retained === 0 && !this.wanted && this.#underWay.none;
  }

  /** Leaves the graph if it is still unneeded: releases its inputs and its results. */
  advance(): void {
    if (!this.#unneeded) return;
    this.#left = true;
    this.#onLeave();
    this.#surrender();
    for (const edge of this.#edges) edge.dispose();
    for (const input of this.inputs) input.vertex.release();
  }

  addFollower(follower: VertexPort<R, C>): void {
    this.retain();
    this.#followers.add(follower);
    // One that finds the result here already has nothing to say.
    if (follower.progress.kind === 'running') this.progress.mirrorTo(follower.progress);
  }

  removeFollower(follower: VertexPort<R, C>): void {
    this.#followers.delete(follower);
    this.progress.unmirror(follower.progress);
    this.release();
  }

  #contexts(): readonly C[] {
    const contexts: C[] = [];
    for (const job of this.jobs) contexts.push(job.context);
    for (const follower of this.#followers)
      for (const job of follower.jobs) if (!this.jobs.has(job)) contexts.push(job.context);
    if (contexts.length === 0 && this.#lastJob) contexts.push(this.#lastJob.context);
    return contexts;
  }

  #importedCaches(): readonly CacheSource<R>[] {
    let sources: Set<CacheSource<R>> | undefined;
    for (const job of this.jobs)
      for (const source of job.cacheSources) {
        sources ??= new Set();
        sources.add(source);
      }
    return sources ? [...sources] : [];
  }

  // What it calls

  get cacheMap(): CacheMap<R, C> | undefined {
    return this.#mapping.kind === 'known' ? this.#mapping.map : undefined;
  }

  requestCacheMap(): void {
    if (this.#mapping.kind !== 'unknown') return;
    this.#mapping = { kind: 'asking' };
    // A source without inputs resolves something when asked for its identity: that is worth showing.
    const shown = this.inputs.length === 0;
    this.#call({
      work: async (call) => {
        if (shown) this.progress.started();
        const map = await this.definition.operation.cacheMap(call);
        if (map.inputs.length !== this.inputs.length) {
          throw new KilnError(
            'internal',
            `the operation of ${this.definition.name} describes ${map.inputs.length} cache inputs, the vertex has ${this.inputs.length}`,
          );
        }
        return map;
      },
      done: (map) => {
        if (shown) this.progress.completed();
        this.#mapping = { kind: 'known', map };
      },
      undone: () => {
        this.#mapping = { kind: 'unknown' };
      },
    });
  }

  contentOf(position: number): { readonly digest: Digest; readonly key: KeyId } | undefined {
    const content = this.#content[position];
    return content?.kind === 'known' ? content : undefined;
  }

  requestContentKey(position: number, input: R): void {
    const compute = this.cacheMap?.inputs[position]?.contentKey;
    if (!compute || this.#content[position]) return;
    this.#content[position] = { kind: 'computing' };
    this.#call({
      work: (call) => compute(input, call),
      done: (digest) => {
        this.#content[position] = { kind: 'known', digest, key: contentKey(digest) };
        for (const edge of this.#edges) edge.contentChanged(position);
      },
      undone: () => {
        this.#content[position] = undefined;
        for (const edge of this.#edges) edge.contentChanged(position);
      },
    });
  }

  get executing(): boolean {
    return this.#execution !== 'idle';
  }

  lead(work: KeyId): void {
    this.#surrender();
    this.#leadership = work;
    this.#environment.leaders.set(work, this);
  }

  #surrender(): void {
    const { leaders } = this.#environment;
    if (this.#leadership !== undefined && leaders.get(this.#leadership) === this)
      leaders.delete(this.#leadership);
    this.#leadership = undefined;
  }

  canLead(index: number): boolean {
    return this.wanted || this.edge(index).outcome?.kind === 'done';
  }

  execute(inputs: readonly R[]): void {
    if (this.executing) return;
    const { slots } = this.#environment;
    const bypassesSlots = this.definition.operation.bypassesSlots === true || !slots;
    this.#execution = bypassesSlots ? 'running' : 'waiting for a slot';
    this.#call({
      work: async (call) => {
        const permit = bypassesSlots ? undefined : await slots.acquire(call.signal);
        try {
          this.#execution = 'running';
          this.progress.started();
          return await this.definition.operation.execute(call, inputs);
        } finally {
          permit?.[Symbol.dispose]();
        }
      },
      done: (results) => {
        this.#execution = 'idle';
        this.#settle(results);
      },
      undone: () => {
        this.#execution = 'idle';
        this.#surrender();
        for (const edge of this.#edges) edge.executionAborted();
      },
    });
  }

  #settle(results: readonly R[]): void {
    if (this.#failure) {
      for (const result of results) this.releaseResult(result);
      return;
    }
    this.progress.completed();
    for (const [index, result] of results.entries()) this.edge(index).executed(result);
    for (const edge of this.#edges) {
      if (edge.state.kind !== 'executing') continue;
      edge.fail(
        this.#failed(
          new KilnError(
            'internal',
            `${this.definition.name} has ${results.length} outputs, but output ${edge.index} was asked for`,
          ),
        ),
      );
    }
  }

  releaseResult(result: R): void {
    this.#environment.releases.track(this.#environment.traits.release(result));
  }

  fail(cause: unknown): void {
    if (this.#failure) return;
    const error = this.#failed(asKilnError(cause));
    this.#failure = error;
    this.progress.completed({ error: error.message });
    for (const call of this.#calls) call.abort();
    for (const edge of this.#edges) edge.fail(error);
  }

  #failed(error: KilnError): KilnError {
    return withVertex(error, this.definition.digest);
  }

  async outlast(leader: VertexPort<R, C>): Promise<void> {
    if (leader.wanted) return;
    const stopping = this.#underWay.begin();
    await leader.quiet();
    stopping[Symbol.dispose]();
    this.#leaveIfUnneeded();
  }

  async #call<T>(steps: {
    readonly work: (call: OperationContext<C>) => Promise<T>;
    readonly done: (value: T) => void;
    /** Puts things back to where the call can be made again. */
    readonly undone: () => void;
  }): Promise<void> {
    const call = new OperationCall<C>(this.progress, () => this.#contexts());
    const departures = this.#departures;
    const underWay = this.#underWay.begin();
    this.#calls.add(call);
    try {
      const value = await steps.work(call);
      this.#calls.delete(call);
      steps.done(value);
    } catch (cause) {
      this.#calls.delete(call);
      const error = asKilnError(cause);
      steps.undone();
      if (call.aborted || (departures !== this.#departures && isLossOfAJob(error))) {
        this.progress.stopped();
      } else {
        this.fail(error);
      }
    }
    for (const edge of this.#edges) edge.wake();
    underWay[Symbol.dispose]();
    this.#leaveIfUnneeded();
  }

  /** What is under way in its operation, and what that waits for as far as it says. */
  describeCalls(): readonly string[] {
    const calls: string[] = [];
    if (this.#mapping.kind === 'asking') calls.push('its cache map');
    if (this.#content.some((content) => content?.kind === 'computing')) calls.push('a content key');
    if (this.#execution !== 'idle')
      calls.push(this.#execution === 'running' ? 'its execution' : 'an execution slot');
    for (const call of this.#calls) calls.push(...call.waits);
    return calls;
  }
}

/** A failure that may be due to a job that left meanwhile, whose session the call used. */
function isLossOfAJob(error: KilnError): boolean {
  return error.code === 'canceled' || error.code === 'unavailable';
}
