import type { Digest } from '../../base/digest.ts';
import type { KilnError } from '../../base/errors.ts';
import type { KeyId } from '../key-store.ts';
import type { CacheInput, CacheMap, InputAccount, Vertex } from '../solver.ts';
import type { CacheStores } from '../vertex/cache-stores.ts';
import type { VertexProgress } from '../vertex/vertex-progress.ts';
import type { AttachedJob } from './attached-job.ts';
import type { Level } from './level.ts';
import type { Waiter } from './waiter.ts';

/** How an edge has ended. `cached`: the result was found rather than made. The edge owns the result. */
export type EdgeOutcome<R> =
  | { readonly kind: 'done'; readonly result: R; readonly cached: boolean }
  | { readonly kind: 'failed'; readonly error: KilnError };

/** An edge as seen by those that wait for it: consumers, edges with equal work, builds. */
export interface EdgePort<R, C> {
  readonly vertex: VertexPort<R, C>;
  readonly index: number;
  /** `current`: by these, consumers look the edge up. `forced`: see `EdgeKeys`. */
  readonly keys: { readonly current: readonly KeyId[]; readonly forced: readonly KeyId[] };
  readonly reached: Level;
  /** Empty until the cache map of the vertex is known. */
  readonly inputs: readonly InputPort<R, C>[];
  /** Undefined while the edge has neither a result nor an error. */
  readonly outcome: EdgeOutcome<R> | undefined;
  /** `waiter` is told when the edge has reached `wanted`, or has failed. Asking again replaces what was asked. */
  want(waiter: Waiter, wanted: Level): void;
  unwant(waiter: Waiter): void;
}

/** An input of an edge, as seen by those that ask how the edge is known. */
export interface InputPort<R, C> {
  readonly source: EdgePort<R, C>;
  readonly cache: Pick<CacheInput<R, C>, 'contentKey' | 'contentOnly'>;
  account(): InputAccount;
}

/** A vertex as its own edges and those of other vertices see it. */
export interface VertexPort<R, C> {
  readonly definition: Vertex<R, C>;
  readonly inputs: readonly EdgePort<R, C>[];
  readonly jobs: ReadonlySet<AttachedJob<R, C>>;
  readonly progress: VertexProgress;
  readonly stores: CacheStores<R>;

  // For its own edges

  /** Undefined until it was asked for and is known. */
  readonly cacheMap: CacheMap<R, C> | undefined;
  /** Wakes all edges when the cache map is known. */
  requestCacheMap(): void;
  /** The digest of what is read of input `position`, and the key that it gives. Undefined until it was asked for and is known. */
  contentOf(position: number): { readonly digest: Digest; readonly key: KeyId } | undefined;
  /** Wakes all edges when the digest of what is read of input `position`, whose result is `input`, is known. */
  requestContentKey(position: number, input: R): void;
  readonly executing: boolean;
  /** Runs the operation unless it runs already; every edge is settled by it. `inputs` belong to nodes that this one retains. */
  execute(inputs: readonly R[]): void;
  /** Fails every edge of the vertex, for every job that is here now. */
  fail(cause: unknown): void;
  releaseResult(result: R): void;
  /** An edge is waited for now. */
  edgeWanted(): void;
  /** An edge is no longer waited for. */
  edgeUnwanted(): void;
  /** Ends the calls to the operation when nobody waits for any edge. */
  abortIfUnwanted(): void;

  // For its consumers

  /** Keeps the vertex in the graph until it is released as often as it was retained. */
  retain(): void;
  release(): void;

  // For equal work: a vertex leads, others follow it

  /** From now on, equal work elsewhere may wait for the result of this vertex. */
  lead(work: KeyId): void;
  /** Whether output `index` is there, or will be, since somebody waits for what this vertex has claimed. */
  canLead(index: number): boolean;
  edge(index: number): EdgePort<R, C>;
  /** Whether somebody waits for any of its edges. */
  readonly wanted: boolean;
  /** The jobs of `follower` count as its own, and its progress is shown as that of `follower`, too. */
  addFollower(follower: VertexPort<R, C>): void;
  removeFollower(follower: VertexPort<R, C>): void;
  /** Waits for the calls that are under way now. */
  quiet(): Promise<void>;
  /** This vertex followed `leader`, and has stopped: it stays in the graph until what `leader` runs for nobody else has stopped, too. */
  outlast(leader: VertexPort<R, C>): Promise<void>;
}
