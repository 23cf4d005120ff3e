import type { Platform } from '../base/platform.ts';
import type { ContentChecksums } from '../content-hash/checksum.ts';
import type { DeviceSource } from '../executor/cdi/device-registry.ts';
import type { Executor } from '../executor/executor.ts';
import type { ExporterType } from '../exporter/exporter.ts';
import type { FileOps } from '../file-op/file-op.ts';
import type { Frontend } from '../frontend/frontend.ts';
import type { ImmutableRef, RefStore } from '../ref/ref.ts';
import type { ClientExporters } from '../session/requests/client-exporters.ts';
import type { SourceVerifier } from '../session/requests/source-verifier.ts';
import type { ClientServices } from '../session/session.ts';
import type { Operation, Solver } from '../solver/solver.ts';
import type { CommitResolver, FileResolver, ImageResolver, Source } from '../source/source.ts';
import type { BuildContext } from './build-context.ts';
import type { Entitlement } from './entitlements.ts';
import type { Explainer } from './explain/explainer.ts';

/** The solver's result in this engine: a handle to a file tree. */
export type BuildOperation = Operation<ImmutableRef, BuildContext>;

/** What operations work with. */
export interface WorkerParts {
  readonly refStore: RefStore;
  readonly checksums: ContentChecksums;
  readonly executor: Executor;
  /** The devices that the executor knows. */
  readonly devices: DeviceSource;
  readonly fileOps: FileOps;
  /** By scheme. */
  readonly sources: ReadonlyMap<string, Source>;
  readonly clients: ClientServices;
  readonly platform: Platform;
}

/** What the daemon puts together; the engine owns none of it. */
export interface EngineParts extends WorkerParts {
  readonly solver: Solver<ImmutableRef, BuildContext>;
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
  readonly worker: {
    readonly id: string;
    readonly labels: Readonly<Record<string, string>>;
    readonly platforms: readonly Platform[];
  };
  /** What the daemon's configuration lets builds ask for. */
  readonly entitlements: readonly Entitlement[];
}
