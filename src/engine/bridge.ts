import { abortError } from '../base/async/lifetime.ts';
import type { Digest } from '../base/digest.ts';
import { asKilnError, KilnError } from '../base/errors.ts';
import type { WarningEvent } from '../base/progress.ts';
import type { ProcessIo } from '../executor/executor.ts';
import type {
  Bridge,
  BridgeSolve,
  FrontendResult,
  ResolvedImage,
  ResolveImageOptions,
  SolvedRef,
  WorkerInfo,
} from '../frontend/frontend.ts';
import { commitTime } from '../llb/commit-time.ts';
import type { OpGraph } from '../llb/graph.ts';
import type { Definition, SourceOp } from '../llb/op.ts';
import { unmarshalInTurns } from '../llb/wire/unmarshal-definition.ts';
import { withSource } from '../llb/with-source.ts';
import type { ImmutableRef } from '../ref/ref.ts';
import type { Job, OperationContext, SolverEvents } from '../solver/solver.ts';
import { BuildSources, nameOf, type ResolvedSource, type ResolveSourceOptions } from './build-sources.ts';
import type { BuildCaches } from './caches/build-caches.ts';
import { BuildContainer } from './containers/build-container.ts';
import type { ContainerRequest } from './containers/container-request.ts';
import type { EngineServices } from './engine-services.ts';
import type { Entitlements } from './entitlements/entitlements.ts';
import type { BuildExplanations } from './explain/build-explanations.ts';
import type { JobContext } from './job-context.ts';
import { type BuildEdge, loadGraph } from './load-graph.ts';
import { buildRights } from './nested/build-rights.ts';
import type { NestedGraph } from './nested/nested-graphs.ts';
import type { NestedWaits } from './nested/nested-waits.ts';
import { schemeOf } from './operations/source-operation.ts';
import { imageReference } from './provenance/capture-trees.ts';
import { meantRequest, type RequestNode } from './provenance/request-node.ts';
import { EdgeRef } from './result/edge-ref.ts';
import { runInTree, type TreeProcess } from './run-in-tree.ts';
import type { SourceGuard } from './source-policy/source-guard.ts';
import type { SourcePolicy } from './source-policy/source-policy.ts';

export interface BuildScope {
  readonly services: EngineServices;
  readonly job: Job<ImmutableRef, JobContext>;
  readonly events: SolverEvents;
  readonly explanations: Pick<BuildExplanations, 'add'>;
  readonly caches: BuildCaches;
  readonly sessionId: string;
  readonly entitlements: Entitlements;
  /** Decides about every source before the engine looks at it. */
  readonly guard: SourceGuard;
  /** How many frontends called each other to come to this one; none by default. */
  readonly depth?: number;
  /** Of all builds of the engine. */
  readonly nestedWaits: NestedWaits;
  /** The request that the bridge serves, for provenance. */
  readonly requests: RequestNode;
  readonly signal: AbortSignal;
  /** Disposed when the build ends, with the refs that were handed out. */
  readonly owned: AsyncDisposableStack;
}

/** Each may be a container that waits for the next. */
const deepestCall = 8;

/** A request as a client sends it: with a definition instead of a graph. */
export interface ClientSolve extends Omit<BridgeSolve, 'graph'> {
  readonly definition?: Definition;
}

/** What the frontends of one build, built in or at the other end of the gateway, reach of the engine. */
export class BuildBridge implements Bridge {
  readonly workers: readonly WorkerInfo[];
  readonly #scope: BuildScope;
  readonly #sources: BuildSources;
  readonly #rights: string;

  constructor(scope: BuildScope) {
    this.#scope = scope;
    this.#sources = new BuildSources(scope);
    this.#rights = buildRights(scope.entitlements, scope.guard);
    scope.job.context.nested.add(this.#rights, (nested, signal) => this.#solveNested(nested, signal));
    this.workers = [scope.services.worker];
  }

  async resolveImageConfig(ref: string, options: ResolveImageOptions): Promise<ResolvedImage> {
    const { source, image } = await this.resolveSource(imageSource(ref, options), options);
    if (image) return { ref: nameOf(source), ...image };
    throw new KilnError(
      'failed_precondition',
      `image ${ref} was converted by the source policy to ${source.identifier}, which is no image`,
      { details: [{ kind: 'converted', identifier: source.identifier }] },
    );
  }

  /** Finds out what a source names now. Throws `permission_denied` when the policies do not allow the source. */
  async resolveSource(source: SourceOp, options: ResolveSourceOptions): Promise<ResolvedSource> {
    const resolved = await this.#sources.resolve(source, options);
    if (resolved.image) {
      this.#scope.requests.images.push({
        reference: imageReference(resolved.source),
        platform: options.platform,
        digest: resolved.image.digest,
        local: schemeOf(resolved.source) === 'oci-layout',
      });
    }
    return resolved;
  }

  async sourceTime(source: SourceOp, logName: string): Promise<Date | undefined> {
    const { platform } = this.#scope.services;
    const options = { platform, resolveMode: 'default', logName, gitObjects: true } as const;
    const { http, git } = await this.resolveSource(source, options);
    return http?.lastModified ?? (git?.commitObject && commitTime(git.commitObject));
  }

  /** A bridge whose sources these policies have to allow as well. Throws `invalid_argument` for rules that make no sense. */
  withPolicies(policies: readonly SourcePolicy[]): BuildBridge {
    if (policies.length === 0) return this;
    return new BuildBridge({ ...this.#scope, guard: this.#scope.guard.with(policies) });
  }

  /** A bridge whose work also ends when `signal` aborts; what it has returned stays. */
  withSignal(signal: AbortSignal): BuildBridge {
    return new BuildBridge({ ...this.#scope, signal: AbortSignal.any([this.#scope.signal, signal]) });
  }

  /** Solves what a client asks for. Throws `invalid_argument` for a definition that is wrong. */
  async solveForClient({ definition, ...request }: ClientSolve): Promise<FrontendResult> {
    return await this.solve({ ...request, graph: definition && (await readGraph(definition)) });
  }

  async solve(request: BridgeSolve): Promise<FrontendResult> {
    const { cacheImports = [] } = request;
    this.#scope.caches.import(cacheImports.map(({ type, attrs }) => ({ type, attributes: attrs })));
    const result = request.frontend
      ? await this.#runFrontend(request.frontend, request)
      : await this.#load(request.graph);
    if (request.evaluate) {
      await this.#evaluate([...result.refs.values()]);
    }
    return result;
  }

  /** A container on results of the build. It ends with the build, when `signal` aborts, or when it is released; it is not made if `waiting` aborts. */
  async openContainer(
    request: ContainerRequest,
    signal: AbortSignal,
    waiting: AbortSignal,
  ): Promise<BuildContainer> {
    const { services, job, entitlements, owned } = this.#scope;
    const scope = {
      services,
      job: job.context,
      entitlements,
      signal: AbortSignal.any([signal, this.#scope.signal]),
    };
    const container = await BuildContainer.open(request, scope, waiting);
    // The build may have ended meanwhile.
    if (!owned.disposed) return owned.use(container);
    await container[Symbol.asyncDispose]();
    throw abortError(this.#scope.signal);
  }

  /** The error of a build with what there is of the failed step that it names. */
  explained(error: unknown): KilnError {
    const known = asKilnError(error);
    return this.#scope.job.context.failures?.explain(known) ?? known;
  }

  /** A tree of a failed step, by an id that `explained` told. */
  failedTree(id: string): SolvedRef | undefined {
    return this.#scope.job.context.failures?.tree(id);
  }

  warn(vertex: Digest, warning: WarningEvent): void {
    this.#scope.events.warning(vertex, warning);
  }

  /** Shows work as a vertex of the build. */
  inProgress<T>(
    vertex: { readonly digest: Digest; readonly name: string },
    work: (context: Pick<OperationContext<JobContext>, 'signal' | 'progress'>) => Promise<T>,
  ): Promise<T> {
    return this.#scope.job.inProgress(vertex, work);
  }

  /** Runs a process on a copy of a result: see `run-in-tree.ts`. */
  runInTree(ref: SolvedRef, process: TreeProcess, io: ProcessIo): Promise<void> {
    return runInTree(this.#scope.services, ref, process, io);
  }

  /** Whoever gives up gets no refs: what only they need ends. */
  async #evaluate(refs: readonly (SolvedRef | undefined)[]): Promise<void> {
    const { signal } = this.#scope;
    try {
      await Promise.all(refs.map((ref) => ref?.evaluate(signal)));
    } catch (error) {
      if (signal.aborted) {
        await Promise.all(refs.map((ref) => ref instanceof EdgeRef && ref[Symbol.asyncDispose]()));
      }
      throw error;
    }
  }

  async #runFrontend(name: string, request: BridgeSolve): Promise<FrontendResult> {
    const { services, sessionId, signal, depth = 0 } = this.#scope;
    if (depth === deepestCall) {
      throw new KilnError(
        'failed_precondition',
        `frontend ${name} is called by ${deepestCall} others that call each other`,
        { hint: 'a frontend must not call itself without end' },
      );
    }
    if (request.graph) {
      throw new KilnError(
        'invalid_argument',
        'a solve request names a frontend and has a definition: send one of them',
      );
    }
    const { options = {}, inputs = new Map() } = request;
    const work = meantRequest({ frontend: name, options, inputs });
    const frontend = services.frontends.get(work.frontend);
    if (!frontend) {
      throw new KilnError('not_found', `invalid frontend: ${name}`, {
        hint: `this daemon has ${[...services.frontends.keys()].join(', ')}`,
      });
    }
    const requests = this.#scope.requests.child(work);
    const bridge = new BuildBridge({ ...this.#scope, requests, depth: depth + 1 });
    const result = await frontend.solve(bridge, { ...work, sessionId }, signal);
    requests.addResult(result.refs.values());
    return result;
  }

  /** The vertices of a graph, once the policies have had their say about its sources. */
  async #load(graph: OpGraph | undefined): Promise<FrontendResult> {
    const ref = graph && (await this.#edge(await this.#sources.admitted(graph)));
    return { refs: new Map([['', ref]]), metadata: new Map() };
  }

  async #edge(graph: OpGraph): Promise<EdgeRef | undefined> {
    const { job, owned, requests } = this.#scope;
    try {
      const edge = await this.#loadEdge(graph, 0);
      if (!edge) return undefined;
      const ref = owned.use(new EdgeRef(graph, edge, job));
      requests.addRef(ref);
      return ref;
    } catch (error) {
      throw withSource(error, graph);
    }
  }

  #loadEdge(graph: OpGraph, depth: number): Promise<BuildEdge | undefined> {
    const { services, entitlements, explanations } = this.#scope;
    const nesting = { rights: this.#rights, depth };
    return loadGraph(graph, { services, entitlements, explanations, nesting });
  }

  async #solveNested(nested: NestedGraph, signal: AbortSignal): Promise<ImmutableRef | undefined> {
    const graph = await this.#sources.admitted(nested.graph);
    using _ = this.#scope.nestedWaits.enter({ ...nested, graph });
    try {
      const edge = await this.#loadEdge(graph, nested.nesting.depth);
      return edge && (await this.#scope.job.build(edge, signal)).result;
    } catch (error) {
      throw withSource(error, graph);
    }
  }
}

async function readGraph(definition: Definition): Promise<OpGraph> {
  try {
    return await unmarshalInTurns(definition);
  } catch (error) {
    throw withSource(error, definition);
  }
}

function imageSource(ref: string, { ociLayout }: ResolveImageOptions): SourceOp {
  if (!ociLayout) return { identifier: `docker-image://${ref}`, attrs: {} };
  const { sessionId, storeId } = ociLayout;
  return {
    identifier: `oci-layout://${ref}`,
    attrs: { ...(sessionId && { 'oci.session': sessionId }), ...(storeId && { 'oci.store': storeId }) },
  };
}
