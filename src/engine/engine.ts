import { randomUUID } from 'node:crypto';
import { inTurns } from '../base/async/in-turns.ts';
import { abortable, deferred, throwIfAborted } from '../base/async/lifetime.ts';
import { asKilnError, KilnError } from '../base/errors.ts';
import type { Platform } from '../base/platform.ts';
import { canonicalDigest } from '../base/text/canonical.ts';
import type { ProcessIo } from '../executor/executor.ts';
import type { Exporter, ExportInput, PlatformResult } from '../exporter/exporter.ts';
import { responseDescriptor } from '../exporter/image/image-response.ts';
import type { FrontendResult, SolvedRef } from '../frontend/frontend.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import type { ProvenanceAccount } from '../provenance/provenance-account.ts';
import type { ProvenanceOptions } from '../provenance/provenance-options.ts';
import type { OperationContext } from '../solver/solver.ts';
import { BuildBridge, type ClientSolve } from './bridge.ts';
import { BuildCaches } from './caches/build-caches.ts';
import { type CacheRequest, openCacheExports } from './caches/cache-exports.ts';
import { MountImports } from './caches/mount-imports.ts';
import { RunningCacheExports } from './caches/running-cache-exports.ts';
import type { EngineServices } from './engine-services.ts';
import { parseEntitlements } from './entitlements/entitlements.ts';
import type { KeepSteps, KeptStep } from './failed-steps/kept-steps.ts';
import { type ShellWish, StepShell } from './failed-steps/step-shell.ts';
import type { JobContext } from './job-context.ts';
import type { JobEvents } from './job-events.ts';
import { NestedGraphs } from './nested/nested-graphs.ts';
import { NestedWaits } from './nested/nested-waits.ts';
import { buildFacts, resultAccounts } from './provenance/build-provenance.ts';
import { withProvenance } from './provenance/provenance-attestation.ts';
import { RequestIndex } from './provenance/request-index.ts';
import { type RequestedWork, RequestNode } from './provenance/request-node.ts';
import { exportedAttestations, strayAttestations } from './result/result-attestations.ts';
import { type PlatformRef, platformMismatch, resultPlatforms } from './result/result-platforms.ts';
import { type ScanRequest, scannedResult } from './result/scanned-result.ts';
import { StepFailures } from './result/step-failures.ts';
import { treeOf } from './result/tree-of.ts';
import { runInTree, type TreeProcess } from './run-in-tree.ts';
import { SourceGuard } from './source-policy/source-guard.ts';
import type { SourcePolicy } from './source-policy/source-policy.ts';

export interface BuildRequest {
  readonly id: string;
  readonly sessionId: string;
  readonly work: BuildWork;
  /** What the client asked for, whoever produces the result. */
  readonly asked: RequestedWork;
  /** By which the client wants results to be made: see `compatibility-version.ts`. */
  readonly compatibilityVersion: number;
  /** Whether outputs get provenance, and which. */
  readonly provenance?: ProvenanceOptions;
  readonly exporters: readonly { readonly type: string; readonly attrs: Readonly<Record<string, string>> }[];
  readonly cacheExports: readonly CacheRequest[];
  readonly cacheImports: readonly CacheRequest[];
  /** What the client asked for; undefined: the daemon's own. */
  readonly platforms?: readonly Platform[];
  /** Whether the results get an SBOM. */
  readonly scan?: ScanRequest;
  /** What the client allows; has to be allowed by the daemon, too. */
  readonly entitlements: readonly string[];
  readonly sourcePolicy?: SourcePolicy;
  /** A session that is asked about every source, too. */
  readonly policySession?: string;
  readonly failedSteps: KeepSteps;
  /** Makes the result's trees known to the client, which is then asked for more outputs. */
  readonly showResult?: (ref: SolvedRef) => string;
}

/** Who produces the result. */
export type BuildWork =
  /** A definition or a frontend of the daemon. */
  | { readonly kind: 'solve'; readonly request: ClientSolve }
  /** The client drives the build through the gateway and returns the result itself. */
  | { readonly kind: 'client' };

export interface BuildOutcome {
  readonly exporterResponse: Readonly<Record<string, string>>;
  /** The images that the exporters made, by their positions. */
  readonly images: ReadonlyMap<number, Descriptor>;
  /** How the results were made, by the keys of their platforms. */
  readonly provenance: ReadonlyMap<string, ProvenanceAccount>;
}

/** A build under way. */
export interface Build {
  readonly id: string;
  readonly bridge: BuildBridge;
  /** Aborts when the build ends, however. */
  readonly signal: AbortSignal;
  /** For a client that drives the build: its result, or why there is none. */
  return(result: FrontendResult): void;
  fail(error: unknown): void;
  /** Ends the build early, with `canceled` unless a reason is given. */
  cancel(reason?: KilnError): void;
  readonly outcome: Promise<BuildOutcome>;
}

/** Runs builds: solves, exports, and leaves nothing behind when one ends. */
export class Engine {
  readonly #services: EngineServices;
  readonly #requests = new RequestIndex();
  readonly #nestedWaits = new NestedWaits();

  constructor(services: EngineServices) {
    this.#services = services;
  }

  /** Checks the request (throws `invalid_argument`, `permission_denied`) and starts the build. It ends early when `signal` aborts. */
  start(request: BuildRequest, events: JobEvents, signal: AbortSignal): Build {
    throwIfAborted(signal);
    const exporters = request.exporters.map(({ type, attrs }) => this.#exporter(type, attrs));
    const cacheExports = openCacheExports(
      request.cacheExports,
      this.#services.caches,
      this.#services.cacheMounts,
    );
    const entitlements = parseEntitlements(request.entitlements, this.#services.entitlements);
    const guard = this.#guard(request);
    const ended = new AbortController();
    const alive = AbortSignal.any([signal, ended.signal]);
    const explanations = this.#services.explainer.begin(request.id, events);
    const owned = new AsyncDisposableStack();
    const mountImports = new MountImports(this.#services.cacheMounts, {
      signal: alive,
      sessions: request.sessionId === '' ? [] : [request.sessionId],
    });
    const { failedSteps } = this.#services;
    // Nobody else can look into trees.
    const failures =
      request.work.kind === 'client' || failedSteps.keeps(request.failedSteps)
        ? owned.use(new StepFailures(failedSteps))
        : undefined;
    const job = this.#services.solver.createJob(
      request.id,
      { sessionId: request.sessionId, owned, mountImports, failures, nested: new NestedGraphs() },
      explanations.watch(events),
    );
    const facts = buildFacts(this.#services.provenance, request.compatibilityVersion);
    const requests = owned.use(RequestNode.rootOf(request.asked, this.#requests));
    const caches = new BuildCaches({
      caches: this.#services.caches,
      mounts: mountImports,
      job,
      sessionId: request.sessionId,
      signal: alive,
    });
    explanations.explainImports(() => caches.imports);
    const bridge = new BuildBridge({
      services: this.#services,
      job,
      events,
      explanations,
      caches,
      sessionId: request.sessionId,
      entitlements,
      guard,
      nestedWaits: this.#nestedWaits,
      requests,
      signal: alive,
      owned,
    });
    const returned = deferred<FrontendResult>();
    returned.promise.catch(() => {});

    const run = async (): Promise<BuildOutcome> => {
      // What fails at the end does not hide what failed before.
      await using ending = new AsyncDisposableStack();
      ending.defer(() => explanations[Symbol.asyncDispose]().catch(unlessDiskFull));
      ending.defer(() => job.close());
      ending.use(owned);
      ending.defer(() => ended.abort(new KilnError('canceled', `build ${request.id} has ended`)));
      caches.import(request.cacheImports.map(({ type, attrs }) => ({ type, attributes: attrs })));
      const { work } = request;
      const made = await abortable(
        work.kind === 'client' ? returned.promise : bridge.solveForClient(work.request),
        alive,
      );
      const result = await scannedResult(made, request.scan, bridge, this.#services.platform);
      const platforms = resultPlatforms(result, this.#services.platform);
      const warnings = [
        platformMismatch(request.platforms ?? [this.#services.platform], platforms),
        strayAttestations(result, platforms),
      ].filter((warning) => warning !== undefined);
      const solved = await this.#exportInput(platforms, result.metadata, request.compatibilityVersion, alive);
      const { layers } = this.#services.provenance;
      const accounts = await inTurns(resultAccounts(platforms, requests, facts, layers));
      const attested = withProvenance(solved, accounts, request.provenance);
      const exportCaches = new RunningCacheExports(cacheExports, platforms, this.#services.cacheMounts);
      const input = exportCaches.withInline(attested);
      const show = <T>(name: string, work: (context: OperationContext<JobContext>) => Promise<T>) =>
        job.inProgress({ digest: canonicalDigest('export', randomUUID()), name }, work);
      if (warnings.length > 0) {
        await show('Verifying build result', async ({ progress }) => {
          for (const short of warnings) progress.warn({ level: 1, short });
        });
      }
      const added = await this.#addedExporters(request, platforms, input.metadata, alive);
      const outputs = [...exporters, ...added].map((exporter) => ({
        exporter,
        layersMade: deferred<void>(),
      }));
      const [responses, cacheResponse] = await Promise.all([
        Promise.all(
          outputs.map(({ exporter, layersMade }, index) =>
            show(exporter.name, (context) =>
              exporter.export(input, {
                signal: AbortSignal.any([context.signal, alive]),
                progress: context.progress,
                sessionId: request.sessionId,
                index,
                onLayersMade: () => layersMade.resolve(),
              }),
            ).finally(() => layersMade.resolve()),
          ),
        ),
        // Outputs decide how their layers are compressed; caches take what there is.
        Promise.all(outputs.map(({ layersMade }) => layersMade.promise)).then(() =>
          exportCaches.run(solved, request.sessionId, show, alive),
        ),
      ]);
      const exporterResponse = Object.assign({}, ...responses, frontendResponse(result), cacheResponse);
      if (request.showResult) {
        await this.#services.clientExporters.finalize(request.sessionId, exporterResponse, alive);
      }
      return { exporterResponse, images: imagesOf(responses), provenance: accounts };
    };

    const outcome = run();
    const end = (error?: unknown) =>
      failures?.end({
        ref: request.id,
        error: error === undefined ? undefined : asKilnError(error),
        wish: request.failedSteps,
      });
    outcome.then(() => end(), end);
    return {
      id: request.id,
      bridge,
      signal: alive,
      return: (result) => returned.resolve(result),
      fail: (error) => returned.reject(error),
      cancel: (reason) =>
        ended.abort(reason ?? new KilnError('canceled', `build ${request.id} was canceled`)),
      outcome,
    };
  }

  /** Runs a process on a copy of a result: see `run-in-tree.ts`. */
  runInTree(ref: SolvedRef, process: TreeProcess, io: ProcessIo): Promise<void> {
    return runInTree(this.#services, ref, process, io);
  }

  /** A shell in a failed step: see `step-shell.ts`. */
  openShell(step: KeptStep, wish: ShellWish, signal: AbortSignal): Promise<StepShell> {
    return StepShell.open(step, wish, this.#services, signal);
  }

  #guard({ sourcePolicy, policySession }: BuildRequest): SourceGuard {
    const { sourceVerifier } = this.#services;
    return new SourceGuard(
      sourcePolicy ? [sourcePolicy] : [],
      policySession ? (check, signal) => sourceVerifier.check(policySession, check, signal) : undefined,
    );
  }

  #exporter(type: string, attrs: Readonly<Record<string, string>>): Exporter {
    const known = this.#services.exporters.get(type);
    if (known) return known.open(attrs);
    throw new KilnError('invalid_argument', `exporter ${JSON.stringify(type)} could not be found`, {
      hint: `this daemon has ${[...this.#services.exporters.keys()].join(', ')}`,
    });
  }

  /** The outputs that the client asks for now that it can see the result. */
  async #addedExporters(
    { sessionId, showResult }: BuildRequest,
    platforms: readonly PlatformRef[],
    metadata: ExportInput['metadata'],
    signal: AbortSignal,
  ): Promise<readonly Exporter[]> {
    if (!showResult) return [];
    const refs = platforms.flatMap(({ ref }) => (ref ? [showResult(ref)] : []));
    const wanted = await this.#services.clientExporters.find(sessionId, { metadata, refs }, signal);
    return wanted.map(({ type, attrs }) => this.#exporter(type, attrs));
  }

  /** Solves every platform's tree, all at once. */
  async #exportInput(
    platforms: readonly PlatformRef[],
    metadata: FrontendResult['metadata'],
    compatibilityVersion: number,
    signal: AbortSignal,
  ): Promise<ExportInput> {
    const results = await Promise.all(
      platforms.map(async ({ key, platform, ref, config, ...attested }): Promise<PlatformResult> => {
        const [tree, attestations] = await Promise.all([
          ref && treeOf(ref, signal),
          exportedAttestations(attested, (each) => treeOf(each, signal)),
        ]);
        return { key, platform, ref: tree, config, attestations };
      }),
    );
    return { results, metadata: Object.fromEntries(metadata), compatibilityVersion };
  }
}

function imagesOf(responses: readonly Readonly<Record<string, string>>[]): ReadonlyMap<number, Descriptor> {
  return new Map(
    responses.flatMap((response, index) => {
      const descriptor = responseDescriptor(response);
      return descriptor ? [[index, descriptor] as const] : [];
    }),
  );
}

/** What the frontend tells the client as part of the exporters' response. */
function frontendResponse({ metadata }: FrontendResult): Readonly<Record<string, string>> {
  return Object.fromEntries(
    [...metadata]
      .filter(([key]) => key.startsWith('frontend.'))
      .map(([key, value]) => [key, Buffer.from(value).toString('utf8')]),
  );
}

/** Failing to keep what later explanations need must not fail this build. */
function unlessDiskFull(error: unknown): void {
  if (asKilnError(error).code !== 'resource_exhausted') throw error;
}
