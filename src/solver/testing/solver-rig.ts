import assert from 'node:assert/strict';
import { type Digest, digestOf } from '../../base/digest.ts';
import type { VertexEvent, WarningEvent } from '../../base/progress.ts';
import { VertexLives } from '../../base/testing/vertex-lives.ts';
import { createSolver } from '../create-solver.ts';
import type { KeyStore } from '../key-store.ts';
import type {
  CacheInput,
  Edge,
  Job,
  JobOptions,
  LookupAccount,
  OperationContext,
  Solver,
  SolverEvents,
  Vertex,
} from '../solver.ts';
import { type CountedResult, CountedResults } from './counted-results.ts';
import { TestKeyStore } from './test-key-store.ts';

export type TestVertex = Vertex<CountedResult, string>;
export type TestEdge = Edge<CountedResult, string>;
export type TestContext = OperationContext<string>;

export interface StepOptions {
  readonly inputs?: readonly (TestVertex | TestEdge)[];
  /** The operation's identity, by default that of the name. Vertices may share it. */
  readonly operation?: string;
  /** Other identities of an operation without inputs. */
  readonly alternatives?: readonly string[];
  /** What it makes of its inputs' contents; by default `name(inputs)`. One content per output. */
  readonly run?: (
    inputs: readonly string[],
    context: TestContext,
  ) => Promise<readonly string[]> | readonly string[];
  readonly cacheInputs?: readonly TestCacheInput[];
  readonly ignoreCache?: boolean;
  readonly bypassesSlots?: boolean;
  readonly runsAlone?: boolean;
  readonly scope?: string;
  readonly cacheMap?: (context: TestContext) => Promise<void>;
}

export interface TestCacheInput {
  readonly selector?: string;
  /** What is read of the input's content; undefined: it counts by its definition. */
  readonly reads?: (content: string, context: TestContext) => string | Promise<string>;
  readonly contentOnly?: boolean;
}

/** The whole content, read. */
export const whole: TestCacheInput = { reads: (content) => content };

/** A solver over vertices that only say what they did. */
export class SolverRig {
  readonly results = new CountedResults();
  readonly keys: TestKeyStore;
  readonly solver: Solver<CountedResult, string>;
  /** Names of executed vertices, in the order of their start. */
  readonly executed: string[] = [];
  readonly accounts: LookupAccount[] = [];
  readonly reused: { readonly jobs: readonly string[]; readonly keys: readonly string[] }[] = [];
  #nextJob = 1;

  constructor(
    options: {
      readonly maxParallelism?: number;
      readonly clock?: () => number;
      readonly keys?: KeyStore;
    } = {},
  ) {
    this.keys = new TestKeyStore(options.keys);
    this.solver = createSolver<CountedResult, string>({
      traits: this.results,
      results: this.results,
      keyStore: this.keys,
      maxParallelism: options.maxParallelism,
      clock: options.clock,
      observer: {
        executing: (account) => this.accounts.push(account),
        reused: (found) => this.reused.push(found),
      },
    });
  }

  /** A vertex. Its digest comes from its name, its operation and its inputs, as a definition's does. */
  step(name: string, options: StepOptions = {}): TestVertex {
    const inputs = (options.inputs ?? []).map((input) =>
      'vertex' in input ? input : { vertex: input, index: 0 },
    );
    const cacheInputs = inputs.map((_, position) =>
      cacheInput(options.cacheInputs?.[position], this.results),
    );
    const operation = digestOf(options.operation ?? name);
    return {
      digest: digestOf(
        JSON.stringify([name, operation, inputs.map(({ vertex, index }) => [vertex.digest, index])]),
      ),
      name,
      inputs,
      ignoreCache: options.ignoreCache ?? false,
      scope: options.scope,
      operation: {
        bypassesSlots: options.bypassesSlots,
        runsAlone: options.runsAlone,
        cacheMap: async (context) => {
          await options.cacheMap?.(context);
          return {
            digest: operation,
            alternatives: options.alternatives?.map(digestOf),
            inputs: cacheInputs,
          };
        },
        execute: async (context, handles) => {
          this.executed.push(name);
          const contents = handles.map((handle) => this.results.use(handle));
          const outputs = (await options.run?.(contents, context)) ?? [`${name}(${contents.join(',')})`];
          for (const handle of handles) this.results.use(handle);
          return outputs.map((content) => this.results.create(content));
        },
      },
    };
  }

  job(options: JobOptions<CountedResult> & { readonly id?: string } = {}): RigJob {
    const id = options.id ?? `job ${this.#nextJob++}`;
    const events = new RecordedEvents();
    return new RigJob(this, this.solver.createJob(id, id, events, options), events);
  }

  /** Builds in a job of its own; returns the content. */
  async build(
    target: TestVertex | TestEdge,
  ): Promise<{ readonly content: string; readonly cached: boolean }> {
    const job = this.job();
    try {
      const { content, cached } = await job.build(target);
      return { content, cached };
    } finally {
      await job.close();
    }
  }

  /** The names executed since the last call. */
  takeExecuted(): string[] {
    return this.executed.splice(0);
  }

  /** Closes the solver, and proves that nothing is left. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.solver.close();
    assert.deepEqual(this.solver.inspect(), []);
    assert.equal(this.results.handles, 0, 'results are still held');
  }
}

function cacheInput(
  input: TestCacheInput | undefined,
  results: CountedResults,
): CacheInput<CountedResult, string> {
  const { selector, reads, contentOnly } = input ?? {};
  return {
    selector: selector === undefined ? undefined : digestOf(selector),
    contentOnly,
    contentKey:
      reads && (async (handle, context) => digestOf(`read: ${await reads(results.use(handle), context)}`)),
  };
}

export class RigJob {
  readonly job: Job<CountedResult, string>;
  readonly events: RecordedEvents;
  readonly #rig: SolverRig;

  constructor(rig: SolverRig, job: Job<CountedResult, string>, events: RecordedEvents) {
    this.#rig = rig;
    this.job = job;
    this.events = events;
  }

  async build(
    target: TestVertex | TestEdge,
    signal?: AbortSignal,
  ): Promise<{ readonly content: string; readonly cached: boolean; readonly keys: readonly string[] }> {
    const edge = 'vertex' in target ? target : { vertex: target, index: 0 };
    const { result, cached, keys } = await this.job.build(edge, signal);
    const content = this.#rig.results.use(result);
    await this.#rig.results.release(result);
    return { content, cached, keys };
  }

  /** Closes the job, and proves that everything that was shown to run was shown to end. */
  async close(): Promise<void> {
    await this.job.close();
    this.events.assertOver();
  }
}

/** What a client would show. */
export class RecordedEvents implements SolverEvents {
  readonly vertices: VertexEvent[] = [];
  readonly logs: string[] = [];
  readonly statuses: string[] = [];
  readonly warnings: WarningEvent[] = [];
  readonly #lives = new VertexLives();

  vertex(event: VertexEvent): void {
    this.vertices.push(event);
    const { digest, started, completed } = event;
    this.#lives.vertex({ digest, started: started?.getTime(), completed: completed?.getTime() });
  }

  status(vertex: Digest, event: { readonly id: string }): void {
    this.statuses.push(event.id);
    this.#lives.output(vertex);
  }

  log(vertex: Digest, _stream: 1 | 2, data: Uint8Array): void {
    this.#lives.output(vertex);
    this.logs.push(new TextDecoder().decode(data));
  }

  warning(_vertex: Digest, event: WarningEvent): void {
    this.warnings.push(event);
  }

  assertOver(): void {
    this.#lives.assertOver();
  }

  /** The steps of a vertex's life as shown, in words. */
  lifeOf(name: string): string[] {
    return this.vertices.filter((event) => event.name === name).map(inWords);
  }

  namesShownAs(word: string): string[] {
    const last = new Map(this.vertices.map((event) => [event.name, inWords(event)]));
    return [...last].filter(([, shown]) => shown === word).map(([name]) => name);
  }
}

function inWords(event: VertexEvent): string {
  if (event.error !== undefined) return `failed: ${event.error}`;
  if (event.cached) return 'cached';
  if (event.completed) return 'completed';
  return event.started ? 'started' : 'announced';
}
