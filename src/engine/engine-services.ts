import type { Platform } from '../base/platform.ts';
import type { CacheMounts } from '../cache-mounts/cache-mounts.ts';
import type { ExporterType } from '../exporter/exporter.ts';
import type { Frontend } from '../frontend/frontend.ts';
import type { ImmutableRef } from '../ref/ref.ts';
import type { RemoteCaches } from '../remote-cache/remote-caches.ts';
import type { ClientExporters } from '../session/requests/client-exporters.ts';
import type { SourceVerifier } from '../session/requests/source-verifier.ts';
import type { Solver } from '../solver/solver.ts';
import type { CommitResolver, FileResolver, ImageResolver } from '../source/source.ts';
import type { Entitlement } from './entitlements/entitlements.ts';
import type { Explainer } from './explain/explainer.ts';
import type { KeptSteps } from './failed-steps/kept-steps.ts';
import type { ShellTools } from './failed-steps/shell-tools.ts';
import type { JobContext } from './job-context.ts';
import type { OperationServices } from './operations/operation-services.ts';
import type { ProvenanceServices } from './provenance/provenance-services.ts';

/** What the daemon puts together; the engine owns none of it. */
export interface EngineServices extends OperationServices {
  readonly solver: Solver<ImmutableRef, JobContext>;
  readonly failedSteps: KeptSteps;
  readonly shellTools: ShellTools;
  readonly images: ImageResolver;
  readonly layouts: ImageResolver;
  readonly downloads: FileResolver;
  readonly repositories: CommitResolver;
  readonly sourceVerifier: SourceVerifier;
  readonly clientExporters: ClientExporters;
  /** Observes `solver`. */
  readonly explainer: Explainer;
  readonly frontends: ReadonlyMap<string, Frontend>;
  readonly exporters: ReadonlyMap<string, ExporterType>;
  readonly caches: RemoteCaches;
  readonly cacheMounts: CacheMounts;
  readonly worker: {
    readonly id: string;
    readonly labels: Readonly<Record<string, string>>;
    readonly platforms: readonly Platform[];
  };
  readonly provenance: ProvenanceServices;
  /** What the daemon's configuration lets builds ask for. */
  readonly entitlements: readonly Entitlement[];
}
