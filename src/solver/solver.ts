import type { Digest } from '../base/digest.ts';
import type {
  ProgressGroup,
  ProgressWriter,
  StatusEvent,
  VertexEvent,
  WarningEvent,
} from '../base/progress.ts';
import type { KeyId, KeySource } from './key-store.ts';

/**
 * The solver's world: vertices with operations, results it cannot look into, keys under which results are found again.
 * It depends on `base/` only: what runs, where results live and who asked are behind these types.
 */

/** A node of the graph. Equal digests mean equal work; the first vertex seen for a digest is the one that runs. */
export interface Vertex<R, C> {
  readonly digest: Digest;
  readonly name: string;
  readonly inputs: readonly Edge<R, C>[];
  readonly operation: Operation<R, C>;
  /** Execute although a result is known. */
  readonly ignoreCache: boolean;
  readonly group?: ProgressGroup;
  /** Equal vertices of different scopes are not the same work, although they look alike. */
  readonly scope?: string;
}

/** Output `index` of a vertex. */
export interface Edge<R, C> {
  readonly vertex: Vertex<R, C>;
  readonly index: number;
}

/** What a vertex does. `R`: the result handle, `C`: what a job carries (its session, say). */
export interface Operation<R, C> {
  /** How the vertex is identified in the key store; asked once per shared vertex. */
  cacheMap(context: OperationContext<C>): Promise<CacheMap<R, C>>;
  /** Runs it. One result per output (all of them), owned by the caller. Inputs are borrowed. */
  execute(context: OperationContext<C>, inputs: readonly R[]): Promise<readonly R[]>;
  /** An executing vertex takes a slot of `max-parallelism`, unless its operation costs next to nothing and says so here. */
  readonly bypassesSlots?: boolean;
  /** Runs although equal work of another definition is running: for what waits for other vertices while it runs. */
  readonly runsAlone?: boolean;
}

export interface CacheMap<R, C> {
  /** The operation's own identity: everything that decides its output besides its inputs. */
  readonly digest: Digest;
  /** Of an operation without inputs: other digests that name equal output, under which results are found and saved, too. */
  readonly alternatives?: readonly Digest[];
  /** One per input of the vertex. */
  readonly inputs: readonly CacheInput<R, C>[];
}

export interface CacheInput<R, C> {
  /** The part of the input that is used, as far as the definition tells. */
  readonly selector?: Digest;
  /** A digest of what is really read of the input's files. Without it the input counts by its definition only. */
  readonly contentKey?: (input: R, context: OperationContext<C>) => Promise<Digest>;
  /** The definition alone never identifies this input (a local source, whose files change under one name). */
  readonly contentOnly?: boolean;
}

/** The running vertex's surroundings. */
export interface OperationContext<C> {
  /** Aborts when no job needs the vertex any more. */
  readonly signal: AbortSignal;
  readonly progress: ProgressWriter;
  /** Says, until it is disposed, what the work waits for; `Solver.inspect` shows it. */
  waitsFor(what: string): Disposable;
  /** The contexts of the jobs that want this vertex now; never empty while it runs, changes as jobs come and go. */
  jobs(): readonly C[];
  /** Calls back for each of these jobs, and for each that comes while the call runs. */
  eachJob(listener: (job: C) => void): void;
}

/** How the solver handles results: counted handles to something outside. */
export interface ResultTraits<R> {
  clone(result: R): R;
  release(result: R): Promise<void>;
  /** A name under which the result store finds it again, or undefined for a result that cannot be kept. */
  idOf(result: R): string | undefined;
}

/** Finds results by the id that `ResultTraits.idOf` gave. */
export interface ResultStore<R> {
  /** A new handle, or undefined when the result is gone (pruned). */
  load(id: string): Promise<R | undefined>;
}

/**
 * A cache that a job brings along (one it imports). It is asked only where the solver's own key store has no
 * answer, so a slow one delays nothing that is held locally; and not for results of operations without inputs, which start while it is slow.
 * Its key ids are its own, except those of `cache-key.ts`, which are the same everywhere. A look-up that fails is a miss and a warning.
 */
export interface CacheSource<R> {
  /** What warnings call it. */
  readonly name: string;
  readonly keys: KeySource;
  readonly results: ResultStore<R>;
  /** Look-ups wait until the cache is there. What is asked once a build has its result (`Job.known`) does without it. */
  readonly pending?: boolean;
}

export interface SolverEvents {
  vertex(event: VertexEvent): void;
  status(vertex: Digest, event: StatusEvent): void;
  log(vertex: Digest, stream: 1 | 2, data: Uint8Array, time: Date): void;
  warning(vertex: Digest, event: WarningEvent): void;
}

/** A vertex's outcome: the result with the key-store ids under which it is known. */
export interface Solved<R> {
  readonly result: R;
  /** Ids in the key store, for exporting cache. */
  readonly keys: readonly string[];
  readonly cached: boolean;
}

/** How an edge is known, and what it depends on, for those that keep it elsewhere. */
export interface KnownEdge<R> {
  readonly operation: Digest;
  /** Other digests of an operation without inputs. */
  readonly alternatives: readonly Digest[];
  readonly output: number;
  readonly inputs: readonly KnownInput[];
  /**
   * Returns the result, made or found in caches, with the time at which it was made; undefined when there is none any more. The caller owns
   * (and releases) it.
   */
  find(): Promise<{ readonly result: R; readonly createdAt: Date } | undefined>;
}

export interface KnownInput {
  /** Its position among the known edges; undefined when its definition does not identify it. */
  readonly edge: number | undefined;
  readonly selector: Digest | undefined;
  /** The keys of what was read of it, in this build or an earlier one. */
  readonly contents: readonly KeyId[];
}

/** One build. All running jobs of a solver share one graph: equal vertices run once. */
export interface Job<R, C> {
  readonly id: string;
  readonly context: C;
  /** Solves one edge; the caller owns (and releases) the result. Fails with the vertex's error, or `canceled` when `signal` or the job ends. */
  build(edge: Edge<R, C>, signal?: AbortSignal): Promise<Solved<R>>;
  /** Has the caches that the job brings along joined by another one. */
  addCacheSource(source: CacheSource<R>): void;
  /**
   * Returns how an edge that was built is known, and all that it depends on: inputs before those that use them, the edge itself last. Good until the
   * job ends.
   */
  known(edge: Edge<R, C>): Promise<readonly KnownEdge<R>[]>;
  /** Runs work that is not a vertex of the graph (an export, an image config look-up) and shows it as one. */
  inProgress<T>(
    vertex: { readonly digest: Digest; readonly name: string },
    work: (context: OperationContext<C>) => Promise<T>,
  ): Promise<T>;
  /** What a vertex that the job needs is served by: its own operation, or that of an equal vertex which was there before. */
  operationOf(vertex: Vertex<R, C>): Operation<R, C>;
  /** The ids in the key store of the outputs that were asked for of a vertex that the job needs, as far as they are known now. */
  keysOf(vertex: Vertex<R, C>): readonly OutputKeys[];
  /** Ends the job: what only it needed is cancelled; waits until nothing of it runs. */
  close(): Promise<void>;
}

/** Output `index` of a vertex, and the keys by which it is known. */
export interface OutputKeys {
  readonly index: number;
  readonly keys: readonly KeyId[];
}

export interface Solver<R, C> {
  /** `events` gets everything about the vertices the job needs, also when another job started them earlier. */
  createJob(id: string, context: C, events: SolverEvents, options?: JobOptions<R>): Job<R, C>;
  /** What every unfinished vertex waits for, also those that are not in the graph (an export, say). */
  inspect(): readonly VertexInspection[];
  /** Ends every job. Throws `internal` when a result is still held after that: a leak. */
  close(): Promise<void>;
}

export interface JobOptions<R> {
  /** Looked up after the solver's own key store, all at once. */
  readonly cacheSources?: readonly CacheSource<R>[];
}

export interface VertexInspection {
  readonly digest: Digest;
  readonly name: string;
  readonly jobs: readonly string[];
  readonly state: string;
  readonly waitsFor: readonly string[];
}

/** Told about decisions, for explaining them; calls never fail and never wait. */
export interface SolverObserver {
  /** A vertex is about to run: no look-up led to a result (or none was made, with `ignoreCache`). */
  executing(account: LookupAccount): void;
  /** A result was found in the cache for a vertex. `keys`: the ids by which it is known. */
  reused?(found: { readonly jobs: readonly string[]; readonly keys: readonly string[] }): void;
}

/** The look-ups that were made for output `output` of a vertex, all without a usable result. */
export interface LookupAccount {
  readonly vertex: Digest;
  readonly jobs: readonly string[];
  readonly operation: Digest;
  readonly output: number;
  /** The id that its inputs give to this output: equal work has equal ids, in every build. */
  readonly key: string;
  readonly ignoreCache: boolean;
  readonly inputs: readonly InputAccount[];
  /** Keys that were found, but whose results are gone. */
  readonly keysWithoutResult: readonly string[];
}

export interface InputAccount {
  readonly vertex: Digest;
  readonly output: number;
  readonly selector: Digest | undefined;
  /** Ids by which the input was looked up. */
  readonly keys: readonly string[];
  /** Ids under which it was saved, but not looked up: it was executed by force. */
  readonly forcedKeys: readonly string[];
  readonly contentKey: Digest | undefined;
  /** Whether any of them led to a key of this operation. */
  readonly matched: boolean;
}
