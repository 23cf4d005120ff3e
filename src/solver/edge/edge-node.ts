import { KilnError } from '../../base/errors.ts';
import type { Environment } from '../graph/environment.ts';
import { type Level, level } from '../graph/level.ts';
import type { EdgeOutcome, EdgePort, VertexPort } from '../graph/node-ports.ts';
import type { Runnable } from '../graph/run-queue.ts';
import type { Waiter } from '../graph/waiter.ts';
import type { CacheMap } from '../solver.ts';
import { withoutVertex } from '../vertex/vertex-error.ts';
import { EdgeInput } from './edge-input.ts';
import { EdgeKeys } from './edge-keys.ts';
import type { EdgeState, Phase } from './edge-state.ts';
import { EdgeWaiters } from './edge-waiters.ts';
import { Following } from './following.ts';
import { InputPass } from './input-pass.ts';
import { KeyLookup } from './key-lookup.ts';
import { type Loaded, ResultSearch } from './result-search.ts';
import { showAncestorsCached } from './show-ancestors-cached.ts';
import type { StoreCall } from './store-call.ts';

/** An edge with more inputs takes a turn of the queue for each of its moves, which are long. */
const fewInputs = 256;

/** What an edge has once the cache map is known. */
interface Mapped<R, C> {
  readonly lookup: KeyLookup<R, C>;
  readonly pass: InputPass<R, C>;
}

/**
 * One output of a vertex: finds its keys and its result, as far as somebody waits for them (see `EdgeState`). All
 * movement happens in `advance`, called by the run queue; everything else takes a note and enqueues.
 */
export class EdgeNode<R, C> implements EdgePort<R, C>, Runnable {
  queued = false;
  readonly vertex: VertexPort<R, C>;
  readonly index: number;
  readonly keys: EdgeKeys<R, C>;
  readonly #environment: Environment<R, C>;
  readonly #waiters = new EdgeWaiters();
  readonly #search: ResultSearch<R>;
  #state: EdgeState<R, C> = { kind: 'unmapped' };
  #reached: Level = level.none;
  #mapped: Mapped<R, C> | undefined;
  #call: StoreCall | undefined;
  /** Asks nothing of its inputs, since nobody waits for it. */
  #suspended = false;

  constructor(vertex: VertexPort<R, C>, index: number, environment: Environment<R, C>) {
    this.vertex = vertex;
    this.index = index;
    this.keys = new EdgeKeys(vertex, index);
    this.#environment = environment;
    this.#search = new ResultSearch(vertex.stores, this.keys.current, (found) => this.#loaded(found));
  }

  get state(): EdgeState<R, C> {
    return this.#state;
  }

  get outcome(): EdgeOutcome<R> | undefined {
    const state = this.#state;
    return state.kind === 'done' || state.kind === 'failed' ? state : undefined;
  }

  get reached(): Level {
    return this.#reached;
  }

  get inputs(): readonly EdgeInput<R, C>[] {
    return this.#mapped?.pass.inputs ?? [];
  }

  /** The one call to a store that is under way. */
  get call(): StoreCall | undefined {
    return this.#call;
  }

  get wanted(): boolean {
    return !this.#waiters.none;
  }

  // Who waits for it

  want(waiter: Waiter, wanted: Level): void {
    if (this.#state.kind === 'failed' || this.#reached >= wanted) {
      waiter.woken();
      return;
    }
    if (this.#waiters.none) this.vertex.edgeWanted();
    this.#waiters.add(waiter, wanted);
    this.wake();
  }

  unwant(waiter: Waiter): void {
    if (this.#waiters.remove(waiter) && this.#waiters.none) this.#unwanted();
  }

  #reach(reached: Level): void {
    if (reached <= this.#reached) return;
    this.#reached = reached;
    this.#tell(reached);
  }

  #tell(reached: Level): void {
    if (this.#waiters.none) return;
    this.#waiters.wake(reached);
    if (this.#waiters.none) this.#unwanted();
  }

  #unwanted(): void {
    this.vertex.edgeUnwanted();
    this.wake();
  }

  // News

  wake(): void {
    this.#environment.queue.enqueue(this);
  }

  inputChanged(input: EdgeInput<R, C>): void {
    this.#mapped?.pass.changed(input);
    this.wake();
  }

  /** The content key of input `position` became known, or its computation was aborted. */
  contentChanged(position: number): void {
    const input = this.inputs[position];
    if (input) this.inputChanged(input);
  }

  // Movement

  advance(): void {
    try {
      this.#advance();
    } catch (error) {
      this.vertex.fail(error);
    }
  }

  #advance(): void {
    do {
      if (this.#waiters.none) {
        this.#suspend();
        return;
      }
      if (this.#suspended) this.#resume();
      if (this.#call || !this.#move()) return;
    } while (this.inputs.length <= fewInputs);
    this.wake();
  }

  /** Returns whether to go on at once, rather than wait until woken; so do the methods that it calls. */
  #move(): boolean {
    const state = this.#state;
    switch (state.kind) {
      case 'unmapped':
        return this.#map();
      case 'matching':
        return this.#takeNews() && this.#match(state.phase);
      case 'gathering':
        return this.#takeNews() && this.#gather();
      case 'claimed':
        if (!this.#searchOn()) this.#execute();
        return false;
      case 'executing':
      case 'following':
      case 'done':
      case 'failed':
        return false;
    }
  }

  #suspend(): void {
    if (!this.#suspended && !this.outcome) {
      this.#suspended = true;
      this.#withdraw();
    }
    this.vertex.abortIfUnwanted();
  }

  #withdraw(): void {
    this.#mapped?.pass.withdraw();
    const state = this.#state;
    if (state.kind === 'claimed') this.#state = { kind: 'gathering' };
    if (state.kind === 'following') {
      this.#state = { kind: 'gathering' };
      state.following.leave();
    }
  }

  #resume(): void {
    this.#suspended = false;
    const state = this.#state;
    if (state.kind === 'matching') this.#enter(state.phase);
    else if (state.kind === 'gathering') this.#enterGathering();
  }

  /** Makes a call to a store; the edge moves on when it is answered. */
  async #ask(call: StoreCall): Promise<void> {
    this.#call = call;
    await call.run();
    this.#call = undefined;
    this.wake();
  }

  #takeNews(): boolean {
    const news = this.#mapped!.pass.takeNews(this.#mayHit);
    switch (news.kind) {
      case 'taken':
        return true;
      case 'look-up':
        this.#ask(news.call);
        return false;
      case 'failure':
        this.fail(news.error);
        return false;
    }
  }

  get #mayHit(): boolean {
    return !this.vertex.definition.ignoreCache;
  }

  // Looking for itself in caches

  #map(): boolean {
    const map = this.vertex.cacheMap;
    if (!map) {
      this.vertex.requestCacheMap();
      return false;
    }
    this.#learn(map);
    this.#enter('definition');
    return true;
  }

  #learn(map: CacheMap<R, C>): void {
    if (this.#mapped) return;
    const inputs = this.vertex.inputs.map(
      (source, position) => new EdgeInput(this, position, source, map.inputs[position]!),
    );
    const lookup = new KeyLookup(this.vertex.stores, inputs);
    this.#mapped = { lookup, pass: new InputPass(inputs, lookup) };
    this.keys.mapped(inputs);
  }

  #enter(phase: Phase): void {
    this.#state = { kind: 'matching', phase };
    if (phase === 'imported') this.#mapped!.lookup.consultsImports = true;
    if (this.#mayHit) this.#mapped!.pass.begin(phase);
  }

  #match(phase: Phase): boolean {
    if (this.#found()) return this.#waiters.none;
    const { pass } = this.#mapped!;
    const hopeless = pass.missed || !this.#mayHit;
    if (!hopeless && !pass.complete) return false;
    switch (phase) {
      case 'definition':
      case 'imported': {
        this.#reach(level[phase]);
        // Caches have no results of sources, which are asked for by name.
        const imports =
          phase === 'definition' && this.inputs.length > 0 && this.vertex.stores.imported().length > 0;
        if (!this.#waiters.none) this.#enter(imports ? 'imported' : 'content');
        return true;
      }
      case 'content':
        if (!hopeless && pass.pursueContent()) return true;
        this.#reach(level.content);
        if (!this.#waiters.none) this.#enterGathering();
        return true;
    }
  }

  /** Turns matches into keys, and looks for a result if one is wanted. True: that is enough, or a call is under way. */
  #found(): boolean {
    if (!this.#mayHit) return false;
    this.keys.add(this.#mapped!.lookup.takeMatches());
    if (this.keys.current.length === 0) return false;
    this.#reach(level.content);
    return !this.#waiters.anyForResult || this.#searchOn();
  }

  #searchOn(): boolean {
    const call = this.#search.next(this.#mapped!.lookup.consultsImports);
    if (call) this.#ask(call);
    return call !== undefined;
  }

  #loaded({ result, record, own }: Loaded<R>): void {
    if (this.outcome) {
      this.vertex.releaseResult(result);
      return;
    }
    this.keys.identify();
    this.#environment.observer?.reused?.({ jobs: this.#jobIds(), keys: [...this.keys.current] });
    if (!own) this.#saveResult(result, record.createdAt);
    this.vertex.progress.cached();
    showAncestorsCached(this.vertex, this.#environment.queue);
    this.#settle(result, true);
  }

  // Execution

  #enterGathering(): void {
    this.#state = { kind: 'gathering' };
    this.#mapped!.pass.begin('result');
  }

  #gather(): boolean {
    if (!this.#mapped!.pass.complete || this.#found()) return false;
    const { runsAlone } = this.vertex.definition.operation;
    if (this.vertex.executing || this.keys.byForce || runsAlone) this.#execute();
    else this.#claim();
    return false;
  }

  /** Equal work is done once: by whoever comes first. */
  #claim(): void {
    const { work } = this.keys;
    const leader = this.#environment.leaders.get(work);
    if (leader && leader !== this.vertex && leader.canLead(this.index)) {
      this.#follow(leader.edge(this.index));
      return;
    }
    this.vertex.lead(work);
    this.#state = { kind: 'claimed' };
    // One that led before, and left, may have saved its result after this edge had looked for it.
    this.#ask(this.#search.again(this.keys.derived));
  }

  #execute(): void {
    const { observer } = this.#environment;
    if (observer && !this.vertex.executing)
      observer.executing({
        vertex: this.vertex.definition.digest,
        jobs: this.#jobIds(),
        operation: this.vertex.cacheMap!.digest,
        output: this.index,
        key: this.keys.derived,
        ignoreCache: !this.#mayHit,
        inputs: this.inputs.map((input) => input.account()),
        keysWithoutResult: [...this.keys.current],
      });
    this.#state = { kind: 'executing' };
    this.vertex.execute(
      this.inputs.map(({ source }) => {
        if (source.outcome?.kind === 'done') return source.outcome.result;
        throw new KilnError('internal', `input ${source.vertex.definition.name} has no result`);
      }),
    );
  }

  #jobIds(): readonly string[] {
    return [...this.vertex.jobs].map((job) => job.id);
  }

  /** The vertex was executed, for this edge or for another. Takes over `result`. */
  executed(result: R): void {
    if (this.#state.kind === 'done') {
      this.vertex.releaseResult(result);
      return;
    }
    this.#learn(this.vertex.cacheMap!);
    this.keys.identify();
    this.#saveResult(result, new Date(this.#environment.now()));
    this.#settle(result, false);
  }

  executionAborted(): void {
    if (this.#state.kind !== 'executing') return;
    this.#state = { kind: 'gathering' };
    this.#suspended = true;
  }

  #saveResult(result: R, createdAt: Date): void {
    const id = this.#environment.traits.idOf(result);
    this.keys.saveResult(id === undefined ? undefined : { id, createdAt });
  }

  /** The same work, found equal by content, is done elsewhere: its result is this one's too. */
  #follow(leader: EdgePort<R, C>): void {
    const following = new Following(this.vertex, leader, () => this.#led());
    this.#state = { kind: 'following', following };
    following.begin();
  }

  #led(): void {
    if (this.#state.kind !== 'following') return;
    const { following } = this.#state;
    const { outcome, keys, vertex } = following.leader;
    this.#state = { kind: 'gathering' };
    if (outcome?.kind === 'done') {
      const result = this.#environment.traits.clone(outcome.result);
      this.keys.add(keys.current);
      this.#settle(result, following.complete(outcome.cached));
    }
    following.end();
    if (outcome?.kind === 'failed') this.vertex.fail(withoutVertex(outcome.error, vertex.definition.digest));
    this.wake();
  }

  // Ends

  #settle(result: R, cached: boolean): void {
    this.#withdraw();
    this.#state = { kind: 'done', result, cached };
    this.#reach(level.result);
  }

  fail(error: KilnError): void {
    if (this.outcome) return;
    this.#withdraw();
    this.#state = { kind: 'failed', error };
    this.#tell(level.result);
  }

  /** Forgets a failure, and keeps what was learnt. */
  revive(): void {
    if (this.#state.kind !== 'failed') return;
    this.#suspended = true;
    this.#state = this.#mapped ? { kind: 'matching', phase: 'definition' } : { kind: 'unmapped' };
  }

  dispose(): void {
    if (this.#state.kind !== 'done') return;
    this.vertex.releaseResult(this.#state.result);
    this.#state = { kind: 'unmapped' };
  }
}
