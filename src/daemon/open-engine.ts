import { statfs } from 'node:fs/promises';
import path from 'node:path';
import { hostPlatform, parsePlatform } from '../base/platform.ts';
import { dockerfileVersion } from '../base/version.ts';
import { Engine } from '../engine/engine.ts';
import { entitlementNames, entitlementOf } from '../engine/entitlements/entitlements.ts';
import { Explainer } from '../engine/explain/explainer.ts';
import { KeptSteps } from '../engine/failed-steps/kept-steps.ts';
import { ShellTools } from '../engine/failed-steps/shell-tools.ts';
import type { JobContext } from '../engine/job-context.ts';
import { refResults, refTraits } from '../engine/result/ref-results.ts';
import { createFileOps } from '../file-op/thread-file-ops.ts';
import { lockRoot } from '../linux/flock.ts';
import type { ImmutableRef } from '../ref/ref.ts';
import { createRegistry } from '../registry/http-registry.ts';
import type { SessionRegistry } from '../session/session-registry.ts';
import { createSolver } from '../solver/create-solver.ts';
import { BuildRegistry } from './builds/build-registry.ts';
import { configuredPolicies } from './config/configured-policies.ts';
import type { DaemonConfig } from './config/daemon-config.ts';
import { emergencyPolicy, failedStepsFirst } from './config/gc-policy.ts';
import type { DaemonLog } from './daemon-log.ts';
import { describeWorker } from './open/describe-worker.ts';
import { openClients } from './open/open-clients.ts';
import { openExecutor } from './open/open-executor.ts';
import { openExporters } from './open/open-exporters.ts';
import { openFrontends } from './open/open-frontends.ts';
import { openHistory } from './open/open-history.ts';
import { openRemoteCaches } from './open/open-remote-caches.ts';
import { openRoot } from './open/open-root.ts';
import { type EngineApi, openServices } from './open/open-services.ts';
import { openSources } from './open/open-sources.ts';
import { openStorage } from './open/open-storage.ts';
import { openThreads } from './open/open-threads.ts';
import { openUpkeep, type Upkeep } from './open/open-upkeep.ts';
import { readProvenanceEnvironment } from './open/read-provenance-environment.ts';

/** An engine at work on a root, reached by its services. Disposing it cancels what runs and leaves nothing mounted. */
export interface OpenEngine extends AsyncDisposable {
  readonly routes: EngineApi['routes'];
  readonly sessions: SessionRegistry;
  readonly builds: BuildRegistry;
  /** Loads what the first build needs, so that it need not wait for that. */
  warm(): void;
  /** Brings what was built to the disk, so that a crash of the machine cannot take it. Engines that live on do so by themselves. */
  flush(): Promise<void>;
}

/**
 * Puts the engine together on `config.root`, part by part: this and what is in `open/` are the only code that constructs
 * implementations of other rooms. Each part disposes of what it opened, in the reverse order of opening. What a killed process left
 * in the root is cleaned up. Throws `failed_precondition` when another process works on the root, unless `lock` waits for that.
 */
export async function openEngine(
  config: DaemonConfig,
  log: DaemonLog,
  version: string,
  lock: (root: string) => Disposable | Promise<Disposable> = lockRoot,
): Promise<OpenEngine> {
  await using resources = new AsyncDisposableStack();
  const root = resources.use(await openRoot(config.root, lock));
  const { directory, database } = root;
  const threads = resources.use(openThreads());
  const { executor, devices, runnable, network } = resources.use(await openExecutor(config, directory, log));
  const builds = new BuildRegistry();
  const isIdle = () => builds.active.length === 0;
  const storage = resources.use(
    await openStorage({
      root,
      threads,
      snapshotter: config.worker.snapshotter,
      log,
      isIdle,
      makeRoom: (signal) => upkeep.makeRoom(signal),
    }),
  );
  const { refStore, cacheDirectories, diskUsage, checksums, keyStore, entries } = storage;

  const clients = openClients(directory, threads.transfers);
  const registry = resources.use(
    createRegistry({ hosts: config.registries, transfers: config.registryConcurrency }),
  );
  const sources = resources.use(openSources({ directory, storage, threads, clients, registry }));
  const exporters = openExporters({ storage, threads, clients, registry });
  const { caches, cacheMounts } = openRemoteCaches({ storage, threads, clients, registry });

  const platforms =
    config.worker.platforms.length > 0 ? config.worker.platforms.map(parsePlatform) : [hostPlatform()];
  const platform = platforms[0]!;
  const explainer = new Explainer({ database, entries, platform });
  const solver = createSolver<ImmutableRef, JobContext>({
    traits: refTraits,
    results: refResults(refStore),
    keyStore,
    maxParallelism: config.worker.maxParallelism || undefined,
    observer: explainer,
  });
  resources.defer(() => solver.close());

  const { blocks, bsize } = await statfs(directory);
  const diskSize = blocks * bsize;
  const policies = configuredPolicies(config.worker.gc, diskSize);
  const worker = await describeWorker({
    directory,
    config: config.worker,
    snapshotter: storage.snapshotter.name,
    platforms,
    runnable,
    network,
    policies,
    version,
  });
  const frontends = openFrontends({ enabled: config.frontends, threads: threads.frontends, worker });
  const failedSteps = resources.use(new KeptSteps({ trees: refStore, keepFor: config.keepFailedSteps }));
  const engine = new Engine({
    refStore,
    failedSteps,
    shellTools: new ShellTools(path.join(directory, 'shell')),
    cacheDirectories,
    checksums,
    executor,
    devices,
    fileOps: createFileOps({ pool: threads.files }),
    sources: sources.byScheme,
    credentials: clients.credentials,
    platform,
    solver,
    explainer,
    images: sources.images,
    layouts: sources.layouts,
    downloads: sources.downloads,
    repositories: sources.repositories,
    sourceVerifier: clients.sourceVerifier,
    clientExporters: clients.exporters,
    frontends: frontends.byName,
    exporters,
    caches,
    cacheMounts,
    worker,
    provenance: {
      platform: hostPlatform(),
      dockerfileVersion,
      environment: await readProvenanceEnvironment(config.provenanceDirectory),
      layers: { keyStore, refStore },
    },
    entitlements: entitlementNames.filter(
      (name) =>
        config.entitlements.some((text) => entitlementOf(text) === name) ||
        (name === 'device' && config.devices.enabled),
    ),
  });

  const limits = [...policies, emergencyPolicy(diskSize)];
  const history = resources.use(await openHistory(root, storage, log));
  const upkeep: Upkeep = resources.use(
    openUpkeep({
      root,
      storage,
      threads,
      policies: policies.length === 0 ? [] : [...failedStepsFirst(limits), ...limits],
      isIdle,
      log,
    }),
  );
  const api = resources.use(
    openServices({
      engine,
      builds,
      history: history.builds,
      diskUsage,
      hostMounts:
        config.hostMounts || config.entitlements.some((text) => entitlementOf(text) === 'security.insecure'),
      images: {
        images: storage.images,
        content: storage.content,
        registry,
        credentials: clients.credentials,
        platform,
      },
      cacheMounts,
      failedSteps,
      worker,
      devices,
      log,
      solver,
      blobs: [storage.content, history.blobs],
      onBuildStart: () => upkeep.onBuildStart(),
      onBuildEnd: () => upkeep.onBuildEnd(),
    }),
  );
  const owned = resources.move();
  return {
    routes: api.routes,
    sessions: clients.sessions,
    builds,
    warm: () => {
      frontends.warm();
      runnable.list().catch((error) => log.warn(`cannot find out what this machine runs: ${error}`));
    },
    flush: () => upkeep.flush(),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}
