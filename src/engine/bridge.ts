import { canonicalDigest } from '../base/canonical.ts';
import type { Digest } from '../base/digest.ts';
import { KilnError } from '../base/errors.ts';
import type { WarningEvent } from '../base/progress.ts';
import type {
  Bridge,
  BridgeSolve,
  FrontendResult,
  ResolvedImage,
  ResolveImageOptions,
  WorkerInfo,
} from '../frontend/frontend.ts';
import type { ImmutableRef } from '../layer/ref.ts';
import type { Definition } from '../llb/op.ts';
import type { Job, SolverEvents } from '../solver/solver.ts';
import { type BuildContext, sourceContext } from './build-context.ts';
import type { EngineParts, Entitlement } from './engine-parts.ts';
import { type BuildEdge, loadGraph } from './load-graph.ts';
import { EdgeRef } from './solved-ref.ts';
import { withSource } from './with-source.ts';

export interface BuildScope {
  readonly parts: EngineParts;
  readonly job: Job<ImmutableRef, BuildContext>;
  readonly events: SolverEvents;
  readonly sessionId: string;
  readonly entitlements: ReadonlySet<Entitlement>;
  readonly signal: AbortSignal;
  /** Refs handed out live as long as the build. */
  readonly owned: AsyncDisposableStack;
}

/** What one build's frontends, built in or at the other end of the gateway, reach of the engine. */
export class BuildBridge implements Bridge {
  readonly workers: readonly WorkerInfo[];
  readonly #scope: BuildScope;

  constructor(scope: BuildScope) {
    this.#scope = scope;
    this.workers = [scope.parts.worker];
  }

  async resolveImageConfig(ref: string, options: ResolveImageOptions): Promise<ResolvedImage> {
    const { job, parts } = this.#scope;
    const resolver = options.ociLayout ? parts.layouts : parts.images;
    const name = options.logName ?? `resolve image config for ${ref}`;
    return await job.inProgress({ digest: canonicalDigest('resolve', [ref, name]), name }, (context) =>
      resolver.resolveConfig(ref, options, sourceContext(context)),
    );
  }

  async solve(request: BridgeSolve): Promise<FrontendResult> {
    const result = request.frontend
      ? await this.#runFrontend(request.frontend, request)
      : this.#load(request);
    if (request.evaluate) {
      await Promise.all([...result.refs.values()].map((ref) => ref?.evaluate(this.#scope.signal)));
    }
    return result;
  }

  warn(vertex: Digest, warning: WarningEvent): void {
    this.#scope.events.warning(vertex, warning);
  }

  async #runFrontend(name: string, request: BridgeSolve): Promise<FrontendResult> {
    const { parts, sessionId, signal } = this.#scope;
    if (request.definition) {
      throw new KilnError(
        'invalid_argument',
        'a solve request names a frontend and has a definition: send one of them',
      );
    }
    const frontend = parts.frontends.get(name);
    if (!frontend) {
      throw new KilnError('not_found', `invalid frontend: ${name}`, {
        hint: `this daemon has ${[...parts.frontends.keys()].join(', ')}`,
      });
    }
    return await frontend.solve(
      this,
      { options: request.options ?? {}, inputs: request.inputs ?? new Map(), sessionId },
      signal,
    );
  }

  #load({ definition }: BridgeSolve): FrontendResult {
    const { job, owned } = this.#scope;
    const edge = definition && this.#loadGraph(definition);
    const ref = edge && owned.use(new EdgeRef(definition, edge, job));
    return { refs: new Map([['', ref]]), metadata: new Map() };
  }

  #loadGraph(definition: Definition): BuildEdge | undefined {
    const { parts, entitlements } = this.#scope;
    try {
      return loadGraph(definition, { parts, entitlements });
    } catch (error) {
      throw withSource(error, definition);
    }
  }
}
