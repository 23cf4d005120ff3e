import { KilnError } from '../base/errors.ts';
import { derivedKey, rootKey } from './cache-key.ts';
import { EdgeInput } from './edge-input.ts';
import type { EdgeActivity, EdgeState, Phase, Waiter } from './edge-state.ts';
import type { Environment } from './environment.ts';
import { intersection } from './intersection.ts';
import type { KeyId, KeyLink, KeyResult, KeySource } from './key-store.ts';
import { type Level, level } from './level.ts';
import { markAncestorsCached } from './mark-ancestors-cached.ts';
import type { Runnable } from './run-queue.ts';
import type { CacheMap, InputAccount, ResultStore } from './solver.ts';
import { withoutVertex } from './vertex-error.ts';
import type { VertexNode } from './vertex-node.ts';

interface Candidate<R> {
  readonly record: KeyResult;
  readonly store: ResultStore<R>;
  /** Of the solver's own key store, which has to forget it when it is gone. */
  readonly own: boolean;
}

/** In place of an output: the execution, which gives all outputs. */
const wholeVertex = -1;

/**
 * One output of a vertex: finds its keys and its result, as far as somebody waits for them (see `EdgeState`). All
 * movement happens in `advance`, called by the run queue; everything else takes a note and enqueues.
 */
export class EdgeNode<R, C> implements Runnable {
  queued = false;
  readonly vertex: VertexNode<R, C>;
  readonly index: number;
  /** Ids by which consumers look this edge up; only ever added to. */
  readonly keys: KeyId[] = [];
  /** Ids that a forced execution was saved under: good for later builds, but in this one they lead to what is out of date. */
  readonly forcedKeys: KeyId[] = [];
  readonly #environment: Environment<R, C>;
  readonly #waiters = new Map<Waiter, Level>();
  readonly #waitersAt = [0, 0, 0, 0, 0];
  #state: EdgeState<R, C> = { kind: 'unmapped' };
  #activity: EdgeActivity = 'none';
  #reached: Level = level.none;
  /** Asks nothing of its inputs, since nobody waits for it. */
  #suspended = false;
  #inputs: readonly EdgeInput<R, C>[] = [];
  /** Inputs with news, in need of a look-up. */
  #changed: EdgeInput<R, C>[] = [];
  #unmatchedInputs = 0;
  #openInputs = 0;
  /** In this phase, some input leads nowhere. */
  #missed = false;
  #matchesChanged = false;
  #consultsImports = false;
  #keysRead = 0;
  #keysReadImported = 0;
  #candidates: Candidate<R>[] = [];

  constructor(vertex: VertexNode<R, C>, index: number, environment: Environment<R, C>) {
    this.vertex = vertex;
    this.index = index;
    this.#environment = environment;
  }

  get state(): EdgeState<R, C> {
    return this.#state;
  }

  get activity(): EdgeActivity {
    return this.#activity;
  }

  get reached(): Level {
    return this.#reached;
  }

  get inputs(): readonly EdgeInput<R, C>[] {
    return this.#inputs;
  }

  get wanted(): boolean {
    return this.#waiters.size > 0;
  }

  // Who waits for it

  /** `waiter` is told when the edge has reached `wanted`, or has failed. Asking again replaces what was asked. */
  want(waiter: Waiter, wanted: Level): void {
    if (this.#state.kind === 'failed' || this.#reached >= wanted) {
      waiter.woken();
      return;
    }
    const before = this.#waiters.get(waiter);
    if (before !== undefined) this.#waitersAt[before]!--;
    else if (this.#waiters.size === 0) this.vertex.edgeWanted();
    this.#waiters.set(waiter, wanted);
    this.#waitersAt[wanted]!++;
    this.wake();
  }

  unwant(waiter: Waiter): void {
    const wanted = this.#waiters.get(waiter);
    if (wanted === undefined) return;
    this.#waiters.delete(waiter);
    this.#waitersAt[wanted]!--;
    if (this.#waiters.size > 0) return;
    this.vertex.edgeUnwanted();
    this.wake();
  }

  wake(): void {
    this.#environment.queue.enqueue(this);
  }

  inputChanged(input: EdgeInput<R, C>): void {
    this.#changed.push(input);
    this.wake();
  }

  /** The content key of input `position` became known, or its computation was aborted. */
  contentChanged(position: number): void {
    const input = this.#inputs[position];
    if (input) this.inputChanged(input);
  }

  #reach(reached: Level): void {
    if (reached <= this.#reached) return;
    this.#reached = reached;
    this.#tell((wanted) => wanted <= reached);
  }

  #tell(which: (wanted: Level) => boolean): void {
    if (this.#waiters.size === 0) return;
    for (const [waiter, wanted] of this.#waiters) {
      if (!which(wanted)) continue;
      this.#waiters.delete(waiter);
      this.#waitersAt[wanted]!--;
      waiter.woken();
    }
    if (this.#waiters.size > 0) return;
    this.vertex.edgeUnwanted();
    this.wake();
  }

  get #wantsResult(): boolean {
    return this.#waitersAt[level.result]! > 0;
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
    if (this.#waiters.size === 0) {
      this.#suspend();
      return;
    }
    if (this.#suspended) this.#resume();
    for (;;) {
      if (this.#activity !== 'none') return;
      const state = this.#state;
      switch (state.kind) {
        case 'unmapped':
          if (!this.#map()) return;
          break;
        case 'matching':
          if (!this.#takeNews() || !this.#match(state.phase)) return;
          break;
        case 'gathering':
          if (!this.#takeNews() || !this.#gather()) return;
          break;
        case 'executing':
        case 'following':
        case 'done':
        case 'failed':
          return;
      }
      if (this.#waiters.size === 0) {
        this.#suspend();
        return;
      }
    }
  }

  #suspend(): void {
    if (!this.#suspended && this.#state.kind !== 'done' && this.#state.kind !== 'failed') {
      this.#suspended = true;
      this.#withdraw();
    }
    this.vertex.abortIfUnwanted();
  }

  #withdraw(): void {
    this.#changed = [];
    for (const input of this.#inputs) input.withdraw();
    const state = this.#state;
    if (state.kind === 'following') {
      this.#state = { kind: 'gathering' };
      state.leader.unwant(state.waiter);
      state.leader.vertex.unfollow(this.vertex);
    }
  }

  #resume(): void {
    this.#suspended = false;
    const state = this.#state;
    if (state.kind === 'matching') this.#enter(state.phase);
    else if (state.kind === 'gathering') this.#enterGathering();
  }

  /** Each of the following answers whether to go on at once (true) or to wait until woken. */
  #map(): boolean {
    const map = this.vertex.cacheMap;
    if (!map) {
      this.vertex.requestCacheMap();
      return false;
    }
    this.#learnInputs(map);
    this.#enter('definition');
    return true;
  }

  #learnInputs(map: CacheMap<R, C>): void {
    if (this.#inputs.length === this.vertex.inputs.length) {
      if (this.#inputs.length === 0 && this.keys.length === 0 && !this.vertex.vertex.ignoreCache)
        this.keys.push(rootKey(map.digest, this.index));
      return;
    }
    this.#inputs = this.vertex.inputs.map(
      (source, position) => new EdgeInput(this, position, source, map.inputs[position]!),
    );
    this.#unmatchedInputs = this.#inputs.length;
  }

  #enter(phase: Phase): void {
    this.#state = { kind: 'matching', phase };
    this.#missed = this.vertex.vertex.ignoreCache;
    this.#openInputs = this.#inputs.length;
    this.#consultsImports ||= phase === 'imported';
    if (this.#missed) return;
    for (const input of this.#inputs) {
      input.closed = false;
      input.pursued = false;
      if (phase !== 'content' && !input.cache.contentOnly && this.#mustWait(input, level[phase])) continue;
      this.#changed.push(input);
    }
  }

  #enterGathering(): void {
    this.#state = { kind: 'gathering' };
    this.#openInputs = this.#inputs.length;
    for (const input of this.#inputs) {
      input.closed = false;
      if (!this.#mustWait(input, level.result)) this.#changed.push(input);
    }
  }

  #mustWait(input: EdgeInput<R, C>, wanted: Level): boolean {
    if (input.source.reached >= wanted) return false;
    input.ask(wanted);
    return true;
  }

  /** Looks up what changed inputs are known by, then lets each take its step. */
  #takeNews(): boolean {
    while (this.#changed.length > 0) {
      const changed = this.#changed;
      this.#changed = [];
      for (const { source } of changed) {
        if (source.state.kind !== 'failed') continue;
        this.fail(source.state.error);
        return false;
      }
      const links: KeyLink[] = [];
      const owners: EdgeInput<R, C>[] = [];
      const importedLinks: KeyLink[] = [];
      const importedOwners: EdgeInput<R, C>[] = [];
      if (!this.vertex.vertex.ignoreCache)
        for (const input of changed) {
          this.#collectLinks(input, links, owners);
          if (this.#consultsImports) this.#collectImportedLinks(input, importedLinks, importedOwners);
        }
      if (links.length > 0 || importedLinks.length > 0) {
        this.#lookUp(changed, links, owners, importedLinks, importedOwners);
        return false;
      }
      for (const input of changed) this.#step(input);
    }
    return true;
  }

  #link(input: EdgeInput<R, C>, from: KeyId, selector: KeyLink['selector']): KeyLink {
    return {
      from,
      operation: this.vertex.cacheMap!.digest,
      output: this.index,
      input: input.position,
      selector,
    };
  }

  #collectLinks(input: EdgeInput<R, C>, links: KeyLink[], owners: EdgeInput<R, C>[]): void {
    const keys = input.definitionKeys;
    for (; input.probed < keys.length; input.probed++) {
      links.push(this.#link(input, keys[input.probed]!, input.cache.selector));
      owners.push(input);
    }
    const content = this.vertex.contentOf(input.position);
    if (!content || input.contentProbed) return;
    input.contentProbed = true;
    links.push(this.#link(input, content.key, undefined));
    owners.push(input);
  }

  #collectImportedLinks(input: EdgeInput<R, C>, links: KeyLink[], owners: EdgeInput<R, C>[]): void {
    const keys = input.definitionKeys;
    for (; input.probedImported < keys.length; input.probedImported++) {
      links.push(this.#link(input, keys[input.probedImported]!, input.cache.selector));
      owners.push(input);
    }
    const content = this.vertex.contentOf(input.position);
    if (!content || input.contentProbedImported) return;
    input.contentProbedImported = true;
    links.push(this.#link(input, content.key, undefined));
    owners.push(input);
  }

  async #lookUp(
    changed: readonly EdgeInput<R, C>[],
    links: readonly KeyLink[],
    owners: readonly EdgeInput<R, C>[],
    importedLinks: readonly KeyLink[],
    importedOwners: readonly EdgeInput<R, C>[],
  ): Promise<void> {
    this.#activity = 'looking up keys';
    if (links.length > 0) await this.#ask(this.#environment.keyStore, 'the cache look-up', links, owners);
    if (importedLinks.length > 0)
      await Promise.all(
        this.vertex
          .cacheSources()
          .map((source) =>
            this.#ask(source.keys, `the look-up in cache ${source.name}`, importedLinks, importedOwners),
          ),
      );
    this.#activity = 'none';
    if (!this.#suspended) for (const input of changed) this.#step(input);
    this.wake();
  }

  async #ask(
    keys: KeySource,
    what: string,
    links: readonly KeyLink[],
    owners: readonly EdgeInput<R, C>[],
  ): Promise<void> {
    const answers = await this.vertex.storeCall(what, () => keys.targets(links));
    if (!answers) return;
    for (const [position, targets] of answers.entries()) {
      const input = owners[position]!;
      const { from } = links[position]!;
      const known = input.answers.get(from);
      input.answers.set(from, known ? [...known, ...targets] : targets);
      if (targets.length === 0) continue;
      if (input.matched.size === 0) this.#unmatchedInputs--;
      for (const target of targets) input.matched.add(target);
      this.#matchesChanged = true;
    }
  }

  /** What `input`, all of whose ids so far were looked up, has to do next in this phase. */
  #step(input: EdgeInput<R, C>): void {
    if (input.closed) return;
    const state = this.#state;
    switch (state.kind) {
      case 'matching':
        switch (state.phase) {
          case 'definition':
          case 'imported':
            if (input.cache.contentOnly || input.source.reached >= level[state.phase]) this.#close(input);
            return;
          case 'content':
            this.#stepByContent(input);
            return;
        }
        return;
      case 'gathering':
        if (this.#mustWait(input, level.result) || this.#mustDigest(input)) return;
        this.#close(input);
        return;
      case 'unmapped':
      case 'executing':
      case 'following':
      case 'done':
      case 'failed':
        return;
    }
  }

  #stepByContent(input: EdgeInput<R, C>): void {
    if (input.matched.size === 0 || input.pursued) {
      if (!input.cache.contentOnly && this.#mustWait(input, level.content)) return;
      if (input.cache.contentKey && !this.vertex.contentOf(input.position)) {
        if (!this.#mustWait(input, level.result)) this.#mustDigest(input);
        return;
      }
    }
    this.#close(input);
  }

  #close(input: EdgeInput<R, C>): void {
    // Between the look-up and now the source may have learnt another of its keys.
    if (!this.vertex.vertex.ignoreCache && input.probed < input.definitionKeys.length) {
      this.#changed.push(input);
      return;
    }
    input.closed = true;
    this.#openInputs--;
    if (input.matched.size === 0) this.#missed = true;
  }

  #mustDigest(input: EdgeInput<R, C>): boolean {
    if (!input.cache.contentKey || this.vertex.contentOf(input.position)) return false;
    const { state } = input.source;
    if (state.kind === 'done') this.vertex.requestContentKey(input.position, state.result);
    return true;
  }

  #match(phase: Phase): boolean {
    if (this.#found()) return this.#waiters.size === 0;
    switch (phase) {
      case 'definition':
      case 'imported': {
        if (!this.#missed && this.#openInputs > 0) return false;
        this.#reach(level[phase]);
        if (this.#waiters.size === 0) return true;
        const imports = phase === 'definition' && this.vertex.cacheSources().length > 0;
        this.#enter(imports ? 'imported' : 'content');
        return true;
      }
      case 'content':
        if (!this.#missed) {
          if (this.#openInputs > 0) return false;
          if (this.#pursue()) return true;
        }
        this.#reach(level.content);
        if (this.#waiters.size > 0) this.#enterGathering();
        return true;
    }
  }

  /** All inputs match, but not each other, or the keys have no result left: content may tell more than definitions did. */
  #pursue(): boolean {
    for (const input of this.#inputs) {
      if (input.pursued || !input.cache.contentKey || this.vertex.contentOf(input.position)) continue;
      input.pursued = true;
      input.closed = false;
      this.#openInputs++;
      this.#changed.push(input);
    }
    return this.#changed.length > 0;
  }

  /** Turns matches into keys, keys into records, and loads one. True: done for now, or a call is under way. */
  #found(): boolean {
    if (this.vertex.vertex.ignoreCache) return false;
    if (this.#matchesChanged && this.#unmatchedInputs === 0) {
      this.#matchesChanged = false;
      this.#addKeys(intersection(this.#inputs.map((input) => input.matched)));
    }
    if (this.keys.length === 0) return false;
    this.#reach(level.content);
    if (!this.#wantsResult) return true;
    if (this.#keysRead < this.keys.length) {
      this.#readResults();
      return true;
    }
    if (this.#candidates.length === 0 && this.#consultsImports && this.#keysReadImported < this.keys.length) {
      this.#readImportedResults();
      return true;
    }
    if (this.#candidates.length === 0) return false;
    this.#load();
    return true;
  }

  #addKeys(found: readonly KeyId[]): void {
    const added = found.filter((key) => !this.keys.includes(key));
    if (added.length === 0) return;
    this.keys.push(...added.sort());
    const links: (KeyLink & { readonly to: KeyId })[] = [];
    for (const input of this.#inputs)
      this.#eachLink(input, (link) => {
        const answer = input.answers.get(link.from);
        for (const to of added) if (!answer?.includes(to)) links.push({ ...link, to });
      });
    if (links.length > 0) this.vertex.save({ links });
  }

  /** Every id by which `input` is known, as a link of this edge. */
  #eachLink(input: EdgeInput<R, C>, visit: (link: KeyLink) => void): void {
    const { selector, contentOnly } = input.cache;
    if (!contentOnly) {
      for (const key of input.source.keys) visit(this.#link(input, key, selector));
      for (const key of input.source.forcedKeys) visit(this.#link(input, key, selector));
    }
    const content = this.vertex.contentOf(input.position);
    if (content) visit(this.#link(input, content.key, undefined));
  }

  async #readResults(): Promise<void> {
    const { keyStore, results } = this.#environment;
    this.#activity = 'looking up results';
    const keys = this.keys.slice(this.#keysRead);
    this.#keysRead = this.keys.length;
    const records = await this.vertex.storeCall('the cache look-up', () => keyStore.results(keys));
    for (const record of records ?? []) this.#candidates.push({ record, store: results, own: true });
    this.#activity = 'none';
    this.wake();
  }

  async #readImportedResults(): Promise<void> {
    this.#activity = 'looking up results';
    const keys = this.keys.slice(this.#keysReadImported);
    this.#keysReadImported = this.keys.length;
    const found = await Promise.all(
      this.vertex.cacheSources().map(async (source) => {
        const records = await this.vertex.storeCall(`the look-up in cache ${source.name}`, () =>
          source.keys.results(keys),
        );
        return (records ?? []).map((record) => ({ record, store: source.results, own: false }));
      }),
    );
    for (const candidates of found) this.#candidates.push(...candidates);
    this.#candidates.sort((a, b) => b.record.createdAt.getTime() - a.record.createdAt.getTime());
    this.#activity = 'none';
    this.wake();
  }

  async #load(): Promise<void> {
    this.#activity = 'loading';
    const { record, store, own } = this.#candidates.shift()!;
    const result = await this.vertex.storeCall('loading a cached result', async () => {
      const loaded = await store.load(record.id);
      if (loaded === undefined && own) await this.#environment.keyStore.dropResult(record.id);
      return loaded;
    });
    this.#activity = 'none';
    if (result !== undefined) this.#loaded(result, record, own);
    this.wake();
  }

  #loaded(result: R, record: KeyResult, own: boolean): void {
    if (this.#state.kind === 'done' || this.#state.kind === 'failed') {
      this.vertex.release(result);
      return;
    }
    if (!own) this.#saveResult(result, record.createdAt);
    this.vertex.progress.cached();
    markAncestorsCached(this.vertex);
    this.#settle(result, true);
  }

  #gather(): boolean {
    if (this.#openInputs > 0) return false;
    if (this.#found()) return false;
    this.#execute();
    return false;
  }

  // Execution

  #execute(): void {
    const { ignoreCache } = this.vertex.vertex;
    const { leaders, observer } = this.#environment;
    if (!this.vertex.executing && !this.#forced) {
      const work = this.#derivedKey(wholeVertex);
      const leader = leaders.get(work);
      if (leader && leader !== this.vertex && leader.canLead(this.index)) {
        this.#follow(leader.edge(this.index));
        return;
      }
      this.vertex.lead(work);
    }
    if (observer && !this.vertex.executing)
      observer.executing({
        vertex: this.vertex.vertex.digest,
        jobs: [...this.vertex.jobs].map((job) => job.id),
        operation: this.vertex.cacheMap!.digest,
        output: this.index,
        ignoreCache,
        inputs: this.#inputs.map((input) => this.#account(input)),
        keysWithoutResult: [...this.keys],
      });
    this.#state = { kind: 'executing' };
    this.vertex.execute(
      this.#inputs.map(({ source }) => {
        if (source.state.kind === 'done') return source.state.result;
        throw new KilnError('internal', `input ${source.vertex.vertex.name} has no result`);
      }),
    );
  }

  #account(input: EdgeInput<R, C>): InputAccount {
    return {
      vertex: input.source.vertex.vertex.digest,
      output: input.source.index,
      selector: input.cache.selector,
      keys: [...input.definitionKeys],
      contentKey: this.vertex.contentOf(input.position)?.digest,
      matched: input.matched.size > 0,
    };
  }

  /** Executed although something was known, by its own or an input's `ignoreCache`: definitions identify older results. */
  get #forced(): boolean {
    if (this.vertex.vertex.ignoreCache) return true;
    return this.#inputs.some(
      (input) => !this.vertex.contentOf(input.position) && input.source.keys.length === 0,
    );
  }

  #derivedKey(output: number): KeyId {
    const { digest } = this.vertex.cacheMap!;
    if (this.#inputs.length === 0) return rootKey(digest, output);
    return derivedKey(
      digest,
      output,
      this.#inputs.map((input) => {
        const content = this.vertex.contentOf(input.position);
        if (content) return { id: content.key, selector: undefined };
        const id = input.source.keys[0] ?? input.source.forcedKeys[0]!;
        return { id, selector: input.cache.selector };
      }),
    );
  }

  /** The same work, found equal by content, runs elsewhere: its result is this one's too. */
  #follow(leader: EdgeNode<R, C>): void {
    const waiter: Waiter = { woken: () => this.#led(leader) };
    this.#state = { kind: 'following', leader, waiter };
    leader.vertex.follow(this.vertex);
    leader.want(waiter, level.result);
  }

  #led(leader: EdgeNode<R, C>): void {
    if (this.#state.kind !== 'following') return;
    const { state } = leader;
    if (state.kind === 'done') {
      const result = this.#environment.traits.clone(state.result);
      this.#state = { kind: 'gathering' };
      leader.vertex.unfollow(this.vertex);
      this.#addKeys(leader.keys);
      this.vertex.progress.cached();
      this.#settle(result, true);
    } else {
      this.#state = { kind: 'gathering' };
      leader.vertex.unfollow(this.vertex);
      if (state.kind === 'failed') this.vertex.fail(withoutVertex(state.error, leader.vertex.vertex.digest));
    }
    this.wake();
  }

  /** The vertex was executed, for this edge or for another. Takes over `result`. */
  executed(result: R): void {
    if (this.#state.kind === 'done') {
      this.vertex.release(result);
      return;
    }
    this.#learnInputs(this.vertex.cacheMap!);
    const known = this.#forced ? this.forcedKeys : this.keys;
    if (known.length === 0) known.push(this.#derivedKey(this.index));
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
    const keys = [...this.keys, ...this.forcedKeys];
    const links: (KeyLink & { readonly to: KeyId })[] = [];
    for (const input of this.#inputs)
      this.#eachLink(input, (link) => {
        for (const to of keys) links.push({ ...link, to });
      });
    const results = id === undefined ? [] : keys.map((key) => ({ key, result: { id, createdAt } }));
    this.vertex.save({ links, results });
  }

  // Ends

  #settle(result: R, cached: boolean): void {
    this.#withdraw();
    this.#state = { kind: 'done', result, cached };
    this.#reach(level.result);
  }

  fail(error: KilnError): void {
    if (this.#state.kind === 'done' || this.#state.kind === 'failed') return;
    this.#withdraw();
    this.#state = { kind: 'failed', error };
    this.#tell(() => true);
  }

  /** Forgets a failure, and keeps what was learnt. */
  revive(): void {
    if (this.#state.kind !== 'failed') return;
    this.#suspended = true;
    this.#state = this.#inputs.length > 0 ? { kind: 'matching', phase: 'definition' } : { kind: 'unmapped' };
  }

  dispose(): void {
    if (this.#state.kind !== 'done') return;
    this.vertex.release(this.#state.result);
    this.#state = { kind: 'unmapped' };
  }
}
