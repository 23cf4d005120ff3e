import type { Digest } from '../../base/digest.ts';
import type { Platform } from '../../base/platform.ts';
import type { VertexEvent } from '../../base/progress.ts';
import type { EntryComparer } from '../../content-hash/content-entries.ts';
import type { OpGraph, OpVertex } from '../../llb/graph.ts';
import type { LookupAccount, SolverEvents } from '../../solver/solver.ts';
import type { BuildImport } from '../caches/build-caches.ts';
import { importReasons } from '../caches/import-reasons.ts';
import type { JobEvents } from '../job-events.ts';
import { schemeOf } from '../operations/source-operation.ts';
import type { AccountStore } from './account-store.ts';
import type { Cause } from './cause.ts';
import { causeText } from './cause-text.ts';
import { nearestAccount } from './nearest-account.ts';
import { placeOf, type StepAccount, stepAccount } from './step-account.ts';
import { type Explained, StepComparison } from './step-comparison.ts';

export interface BuildExplanationsOptions {
  readonly accounts: AccountStore;
  readonly entries: EntryComparer;
  readonly platform: Platform;
  readonly events: JobEvents;
  readonly onEnd: () => void;
}

/** A step with more inputs gets no account: no person wrote such a step, and its account would take megabytes. */
const maxInputs = 256;

/** How many accounts one build marks as used at most: looking for more would take long. */
const maxUsed = 200;

/** The explanations of one build. It has an account of every step that runs, and keeps those of steps that succeed. */
export class BuildExplanations implements AsyncDisposable {
  readonly #options: BuildExplanationsOptions;
  #imports: () => readonly BuildImport[] = () => [];
  readonly #graphs: OpGraph[] = [];
  /** By key. */
  readonly #accounts = new Map<string, StepAccount>();
  readonly #explained = new Map<string, Explained>();
  readonly #running = new Map<Digest, StepAccount>();
  readonly #made = new Map<string, StepAccount>();
  readonly #used = new Set<string>();
  readonly #comparison: StepComparison;
  /** The places and texts of the steps in the first `#read` graphs. */
  readonly #texts = new Set<string>();
  #read = 0;
  /** Steps are explained one after the other, so that what a step builds on is explained before. */
  #last: Promise<void> = Promise.resolve();

  constructor(options: BuildExplanationsOptions) {
    this.#options = options;
    this.#comparison = new StepComparison({
      entries: options.entries,
      find: (keys) => this.#find(keys),
      explained: (key) => this.#explained.get(key),
    });
  }

  /** What the build is going to solve. */
  add(graph: OpGraph): void {
    this.#graphs.push(graph);
  }

  /** Has steps that run say why the caches that the build imports did not help. */
  explainImports(imports: () => readonly BuildImport[]): void {
    this.#imports = imports;
  }

  /** Returns events that pass everything on to `events`, and note which vertices succeed. */
  watch(events: SolverEvents): SolverEvents {
    return {
      vertex: (event) => {
        events.vertex(event);
        this.#seen(event);
      },
      status: (vertex, event) => events.status(vertex, event),
      log: (vertex, stream, data, time) => events.log(vertex, stream, data, time),
      warning: (vertex, event) => events.warning(vertex, event),
    };
  }

  #seen({ digest, completed, error }: VertexEvent): void {
    if (!completed) return;
    const account = this.#running.get(digest);
    if (!account) return;
    this.#running.delete(digest);
    if (error === undefined) this.#made.set(account.key, account);
  }

  reused(keys: readonly string[]): void {
    for (const key of keys) this.#used.add(key);
  }

  executing(lookup: LookupAccount): void {
    const graph = this.#graphs.find(({ vertices }) => vertices.has(lookup.vertex));
    const vertex = graph?.vertices.get(lookup.vertex);
    if (!graph || !vertex || isLocal(vertex) || vertex.op.inputs.length > maxInputs) return;
    const account = stepAccount(vertex, lookup, graph, this.#options.platform);
    this.#running.set(lookup.vertex, account);
    this.#accounts.set(account.key, account);
    this.#last = this.#last
      .then(() => this.#explain(account, lookup))
      // A missing explanation must not fail the build.
      .catch(() => {});
  }

  async #explain(account: StepAccount, lookup: LookupAccount): Promise<void> {
    const { events, accounts } = this.#options;
    const imports = lookup.ignoreCache || lookup.inputs.length === 0 ? [] : this.#imports();
    const reasons = await importReasons(imports, lookup);
    const tell = (cause: Cause, near: string | undefined) => {
      this.#explained.set(account.key, { cause, near });
      events.explanation(lookup.vertex, { cause, text: `${causeText(cause)}${reasons}` });
    };
    if (lookup.ignoreCache) return tell({ kind: 'no-cache' }, account.key);
    const forced = lookup.inputs.findIndex(
      ({ keys, forcedKeys, contentKey }) =>
        keys.length === 0 && forcedKeys.length > 0 && contentKey === undefined,
    );
    if (forced >= 0) return tell(this.#comparison.parentCause(account.inputs[forced]!), account.key);
    // A source has a key before anything is known under it.
    const hadResult = lookup.inputs.length > 0 && lookup.keysWithoutResult.length > 0;
    if (hadResult || accounts.get(account.key)) return tell({ kind: 'pruned' }, account.key);
    const candidates = accounts.candidates(account.place);
    const near = nearestAccount(account, candidates, (other) => this.#hasStep(other));
    if (near) return tell(await this.#comparison.cause(near, account), near.key);
    this.#explained.set(account.key, { cause: { kind: 'new' }, near: undefined });
    if (reasons !== '' || candidates.some(({ place }) => place.stage !== ''))
      tell({ kind: 'new' }, undefined);
  }

  /** The first account that one of the keys leads to. */
  #find(keys: readonly string[]): StepAccount | undefined {
    for (const key of keys) {
      const account = this.#accounts.get(key) ?? this.#options.accounts.get(key);
      if (account) return account;
    }
    return undefined;
  }

  /** Whether this build has the step of an earlier account unchanged. */
  #hasStep({ place }: StepAccount): boolean {
    for (; this.#read < this.#graphs.length; this.#read++)
      for (const vertex of this.#graphs[this.#read]!.vertices.values())
        this.#texts.add(identity(placeOf(vertex)));
    return this.#texts.has(identity(place));
  }

  /** Waits for the last explanation, and keeps what later builds need. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#last;
    this.#options.onEnd();
    await this.#options.accounts.save([...this.#made.values()], this.#allUsed());
  }

  /** The keys of steps that were found in the cache, and of those that they were made from, which nobody had to look up. */
  #allUsed(): readonly string[] {
    const used: string[] = [];
    const ahead = [...this.#used];
    const seen = new Set(ahead);
    for (let key = ahead.shift(); key !== undefined && used.length < maxUsed; key = ahead.shift()) {
      const account = this.#options.accounts.get(key);
      if (!account) continue;
      used.push(key);
      for (const next of account.inputs.flatMap(({ keys }) => keys)) {
        if (!seen.has(next)) ahead.push(next);
        seen.add(next);
      }
    }
    return used.reverse();
  }
}

function identity({ stage, text }: StepAccount['place']): string {
  return `${stage}\n${text}`;
}

/** A local directory is new in every build; its content counts in the steps that use it. */
function isLocal({ op: { action } }: OpVertex): boolean {
  return action.kind === 'source' && schemeOf(action) === 'local';
}
