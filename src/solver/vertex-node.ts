import type { Digest } from '../base/digest.ts';
import { asKilnError, KilnError } from '../base/errors.ts';
import { contentKey } from './cache-key.ts';
import { EdgeNode } from './edge-node.ts';
import type { Environment, Member } from './environment.ts';
import type { KeyChange, KeyId } from './key-store.ts';
import { OperationCall } from './operation-call.ts';
import type { Runnable } from './run-queue.ts';
import type { CacheMap, CacheSource, OperationContext, Vertex } from './solver.ts';
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

/**
 * A vertex that some job needs: what all its outputs and all jobs share. It calls the operation, at most once at a
 * time for each purpose, and lives in the graph while a job or a consumer has it, somebody waits for it, or a call
 * has not ended.
 */
export class VertexNode<R, C> implements Runnable {
  queued = false;
  readonly graphKey: string;
  readonly vertex: Vertex<R, C>;
  readonly inputs: readonly EdgeNode<R, C>[];
  readonly progress: VertexProgress;
  readonly jobs = new Set<Member<R, C>>();
  readonly #environment: Environment<R, C>;
  readonly #edges: EdgeNode<R, C>[] = [];
  readonly #content: (Content | undefined)[] = [];
  readonly #calls = new Set<OperationCall<C>>();
  readonly #followers = new Set<VertexNode<R, C>>();
  /** All calls, to the operation and to stores. */
  readonly #underWay = new UnderWay();
  /** What is being saved of it, by itself or by one that it followed. */
  readonly #saves = new UnderWay();
  #mapping: Mapping<R, C> = { kind: 'unknown' };
  #execution: Execution = 'idle';
  #failure: KilnError | undefined;
  /** Edges that somebody waits for. */
  #wantedEdges = 0;
  /** Consumers and followers that need this node to stay. */
  #holders = 0;
  #departures = 0;
  /** The key under which this vertex is in `leaders`. */
  #leadership: KeyId | undefined;
  #lastJob: Member<R, C> | undefined;
  #left = false;

  constructor(
    graphKey: string,
    vertex: Vertex<R, C>,
    inputs: readonly EdgeNode<R, C>[],
    environment: Environment<R, C>,
  ) {
    this.graphKey = graphKey;
    this.vertex = vertex;
    this.inputs = inputs;
    this.#environment = environment;
    this.progress = new VertexProgress(
      {
        digest: vertex.digest,
        inputs: vertex.inputs.map((input) => input.vertex.digest),
        group: vertex.group,
      },
      environment.now,
    );
    for (const input of inputs) input.vertex.hold();
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
  attach(job: Member<R, C>, name: string): void {
    if (this.jobs.has(job)) return;
    this.jobs.add(job);
    this.#failure = undefined;
    for (const edge of this.#edges) edge.revive();
    this.progress.join(job.events, name);
  }

  detach(job: Member<R, C>): void {
    if (!this.jobs.delete(job)) return;
    this.#departures++;
    this.#lastJob = job;
    this.progress.leave(job.events);
    this.#leaveIfUnneeded();
  }

  hold(): void {
    this.#holders++;
  }

  letGo(): void {
    this.#holders--;
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

  /** Ends the calls when nobody waits for any edge. */
  abortIfUnwanted(): void {
    if (!this.wanted) for (const call of this.#calls) call.abort();
    this.#leaveIfUnneeded();
  }

  /** Nothing is under way, and nothing is left to be saved. */
  get idle(): boolean {
    return this.#underWay.none && this.#saves.none;
  }

  /** Waits for the calls that are under way now. */
  quiet(): Promise<void> {
    return this.#underWay.settled();
  }

  /** Waits until what was found so far is saved. */
  saved(): Promise<void> {
    return this.#saves.settled();
  }

  #leaveIfUnneeded(): void {
    if (this.#unneeded) this.#environment.queue.enqueue(this);
  }

  get #unneeded(): boolean {
    return !this.#left && this.jobs.size === 0 && this.#holders === 0 && !this.wanted && this.#underWay.none;
  }

  /** Leaves the graph if it is still unneeded, lets go of its inputs, and releases the results. */
  advance(): void {
    if (!this.#unneeded) return;
    this.#left = true;
    const { nodes } = this.#environment;
    if (nodes.get(this.graphKey) === this) nodes.delete(this.graphKey);
    this.#surrender();
    for (const edge of this.#edges) edge.dispose();
    for (const input of this.inputs) input.vertex.letGo();
  }

  follow(follower: VertexNode<R, C>): void {
    this.hold();
    this.#followers.add(follower);
    // One that finds the result here already has nothing to say.
    if (follower.progress.kind === 'running') this.progress.mirrorTo(follower.progress);
  }

  unfollow(follower: VertexNode<R, C>): void {
    this.#followers.delete(follower);
    this.progress.unmirror(follower.progress);
    this.letGo();
  }

  #contexts(): readonly C[] {
    const contexts: C[] = [];
    for (const job of this.jobs) contexts.push(job.context);
    for (const follower of this.#followers)
      for (const job of follower.jobs) if (!this.jobs.has(job)) contexts.push(job.context);
    if (contexts.length === 0 && this.#lastJob) contexts.push(this.#lastJob.context);
    return contexts;
  }

  cacheSources(): readonly CacheSource<R>[] {
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

  /** Wakes all edges when the cache map is known. */
  requestCacheMap(): void {
    if (this.#mapping.kind !== 'unknown') return;
    this.#mapping = { kind: 'asking' };
    // A source without inputs resolves something when asked for its identity: that is worth showing.
    const shown = this.inputs.length === 0;
    this.#call({
      work: async (call) => {
        if (shown) this.progress.started();
        const map = await this.vertex.operation.cacheMap(call);
        if (map.inputs.length !== this.inputs.length) {
          throw new KilnError(
            'internal',
            `the operation of ${this.vertex.name} describes ${map.inputs.length} cache inputs, the vertex has ${this.inputs.length}`,
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

  /** Wakes all edges when the digest of what is read of input `position`, whose result is there, is known. */
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

  /** From now on, equal work elsewhere may wait for the result of this vertex. */
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

  /** Whether output `index` is there, or will be, since somebody waits for what this vertex has claimed. */
  canLead(index: number): boolean {
    return this.wanted || this.edge(index).state.kind === 'done';
  }

  /** Runs the operation unless it runs already; every edge is settled by it. `inputs` belong to nodes that this one holds. */
  execute(inputs: readonly R[]): void {
    if (this.executing) return;
    const { slots } = this.#environment;
    const bypassesSlots = this.vertex.operation.bypassesSlots === true || !slots;
    this.#execution = bypassesSlots ? 'running' : 'waiting for a slot';
    this.#call({
      work: async (call) => {
        const permit = bypassesSlots ? undefined : await slots.acquire(call.signal);
        try {
          this.#execution = 'running';
          this.progress.started();
          return await this.vertex.operation.execute(call, inputs);
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
      for (const result of results) this.release(result);
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
            `${this.vertex.name} has ${results.length} outputs, but output ${edge.index} was asked for`,
          ),
        ),
      );
    }
  }

  release(result: R): void {
    this.#environment.releases.track(this.#environment.traits.release(result));
  }

  /** Fails every edge of the vertex, for every job that is here now. */
  fail(cause: unknown): void {
    if (this.#failure) return;
    const error = this.#failed(asKilnError(cause));
    this.#failure = error;
    this.progress.completed({ error: error.message });
    for (const call of this.#calls) call.abort();
    for (const edge of this.#edges) edge.fail(error);
  }

  #failed(error: KilnError): KilnError {
    return withVertex(error, this.vertex.digest);
  }

  /** Saves in the background; trouble becomes a warning, as the result itself is good. */
  async save(change: KeyChange): Promise<void> {
    using _saving = this.#saves.begin();
    await this.storeCall('saving cache keys', () => this.#environment.keyStore.commit(change));
  }

  /** Counts what `leader`, whose result this vertex took, is saving as its own. */
  async sharesSavesOf(leader: VertexNode<R, C>): Promise<void> {
    using _saving = this.#saves.begin();
    await leader.saved();
  }

  /** This vertex followed `leader`, and has stopped: so has, before it leaves, what `leader` runs for nobody else. */
  async outlasts(leader: VertexNode<R, C>): Promise<void> {
    if (leader.wanted) return;
    const stopping = this.#underWay.begin();
    await leader.quiet();
    stopping[Symbol.dispose]();
    this.#leaveIfUnneeded();
  }

  /** Runs a call to a store. One that fails answers undefined and leaves a warning. */
  async storeCall<T>(what: string, work: () => Promise<T>): Promise<T | undefined> {
    const call = this.#underWay.begin();
    try {
      return await work();
    } catch (error) {
      const { message } = asKilnError(error);
      this.progress.warn({ level: 1, short: `${what} failed: ${message}` });
      return undefined;
    } finally {
      call[Symbol.dispose]();
      this.#leaveIfUnneeded();
    }
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
