import { randomBytes } from 'node:crypto';
import { chmod, chown, mkdir, readFile, rename, stat, statfs, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import path from 'node:path';
import { getegid, geteuid } from 'node:process';
import type { ConnectRouter } from '@connectrpc/connect';
import { Content } from '../api/gen/content_pb.js';
import { Control } from '../api/gen/control_pb.js';
import { LLBBridge } from '../api/gen/gateway_pb.js';
import { Health, HealthCheckResponse_ServingStatus } from '../api/gen/health_pb.js';
import { Debug } from '../api/gen/kiln_debug_pb.js';
import { TraceService } from '../api/gen/trace_pb.js';
import { DiskReserve } from '../base/database/disk-reserve.ts';
import { asKilnError, errnoOf, KilnError } from '../base/errors.ts';
import { hostPlatform, parsePlatform } from '../base/platform.ts';
import { SharedThreads } from '../base/threads/shared-threads.ts';
import { ThreadPool } from '../base/threads/thread-pool.ts';
import { openLocalContentStore } from '../content/local-content-store.ts';
import { createContentChecksums } from '../content-hash/content-checksums.ts';
import { openContentEntries } from '../content-hash/content-entries.ts';
import type { BuildContext } from '../engine/build-context.ts';
import { Engine } from '../engine/engine.ts';
import type { EngineParts } from '../engine/engine-parts.ts';
import { entitlementNames, entitlementOf } from '../engine/entitlements.ts';
import { Explainer } from '../engine/explain/explainer.ts';
import { refResults, refTraits } from '../engine/result-traits.ts';
import { DeviceRegistry } from '../executor/cdi/device-registry.ts';
import { createOciExecutor } from '../executor/oci-executor.ts';
import { createLocalExporter } from '../exporter/files/local-exporter.ts';
import { createTarExporter } from '../exporter/files/tar-exporter.ts';
import { createArchiveExporter } from '../exporter/image/archive-exporter.ts';
import { createImageExporter } from '../exporter/image/image-exporter.ts';
import { createImageStore } from '../exporter/image/image-store.ts';
import { createFileOps } from '../file-op/thread-file-ops.ts';
import { createClientOutput } from '../file-sync/client-output.ts';
import { dockerfileFrontend } from '../frontend/dockerfile/frontend-name.ts';
import { createThreadedFrontend } from '../frontend/threaded-frontend.ts';
import { SqliteKeyStore } from '../key-store/sqlite-key-store.ts';
import { createLayerDiffer } from '../layer-blob/layer-differ.ts';
import { lockRoot } from '../linux/flock.ts';
import type { ImmutableRef, RefStore } from '../ref/ref.ts';
import { openRefStore } from '../ref/ref-store.ts';
import { createRegistry } from '../registry/http-registry.ts';
import { createClientExporters } from '../session/requests/client-exporters.ts';
import { createClientServices } from '../session/requests/client-services.ts';
import { createSourceVerifier } from '../session/requests/source-verifier.ts';
import { SessionRegistry } from '../session/session-registry.ts';
import { chooseSnapshotter } from '../snapshot/choose-snapshotter.ts';
import { makeDurable } from '../snapshot/durable-snapshotter.ts';
import { WriteLedger } from '../snapshot/write-ledger.ts';
import { createSolver } from '../solver/create-solver.ts';
import { createGitSource } from '../source/git/git-source.ts';
import { HttpDownloads } from '../source/http/http-downloads.ts';
import { createHttpSource } from '../source/http/http-source.ts';
import { createImageSource } from '../source/image/image-source.ts';
import { createOciLayoutSource } from '../source/image/oci-layout-source.ts';
import { createLocalSource } from '../source/local/local-source.ts';
import { LocalTrees } from '../source/local/local-trees.ts';
import type { Source } from '../source/source.ts';
import { blobService } from './api/blob-service.ts';
import { controlService } from './api/control-service.ts';
import { debugService } from './api/debug-service.ts';
import { gatewayService } from './api/gateway-service.ts';
import { WorkerDescription } from './api/worker-description.ts';
import { BuildRegistry } from './builds/build-registry.ts';
import type { DaemonConfig, DiskSpace, GcConfig } from './config/daemon-config.ts';
import { defaultLimits, defaultPolicies, emergencyPolicy, type GcPolicy } from './config/gc-policy.ts';
import type { DaemonLog } from './daemon-log.ts';
import { BuildHistory } from './history/build-history.ts';
import { HistoryBlobs } from './history/history-blobs.ts';
import { openDatabase } from './open-database.ts';
import { DatabaseKeeper } from './upkeep/database-keeper.ts';
import { DiskFlusher } from './upkeep/disk-flusher.ts';
import { dropLostResults } from './upkeep/drop-lost-results.ts';
import { EventLoopWatch } from './upkeep/event-loop-watch.ts';
import { GarbageCollector } from './upkeep/garbage-collector.ts';
import { IdleMemory } from './upkeep/idle-memory.ts';

/** An engine at work on a root, reached by its services. Disposing it cancels what runs and leaves nothing mounted. */
export interface OpenEngine extends AsyncDisposable {
  readonly routes: (router: ConnectRouter) => void;
  readonly sessions: SessionRegistry;
  readonly builds: BuildRegistry;
  /** Loads what the first build needs, which has to wait for less then. */
  warm(): void;
  /** Brings what was built to the disk, so that a crash of the machine cannot take it. Engines that live on do so by themselves. */
  flush(): Promise<void>;
}

/** The sticky bit, as of /tmp. */
const sharedDirectory = 0o1000;

const dockerfileTask = new URL('../frontend/dockerfile/dockerfile.task.ts', import.meta.url);

/** Milliseconds after which the kernel has brought most of what was written to the disk by itself. */
const writebackTime = 60_000;

/**
 * Puts the engine together on `config.root`: the one place where rooms meet. Whatever a killed process left there is
 * cleaned up first. Throws `failed_precondition` when another process works on the root, unless `lock` waits for that.
 */
export async function openEngine(
  config: DaemonConfig,
  log: DaemonLog,
  version: string,
  lock: (root: string) => Disposable | Promise<Disposable> = lockRoot,
): Promise<OpenEngine> {
  const root = path.resolve(config.root);
  await using resources = new AsyncDisposableStack();
  await prepareRoot(root);
  resources.use(await lock(root));
  const reserve = new DiskReserve(root);
  reserve.adjust();
  // What the database's log took is needed at the next start.
  resources.defer(() => reserve.setAside());

  const databaseFile = path.join(root, 'kiln.db');
  const database = resources.adopt(openDatabase(databaseFile), (open) => open.close());
  // Layers are made of many blocks while files are read: neither has to wait for the other's threads.
  const files = resources.use(new ThreadPool());
  const compression = resources.use(new ThreadPool({ niceness: 5 }));
  // Deleting must not wait for what fills the disk.
  const housekeeping = resources.use(new ThreadPool({ size: 1, niceness: 10 }));
  // What takes as long as a client does must not be where others' work is: trees in file sync, which wait for each other's turns, ...
  const transfers = resources.use(new ThreadPool({ size: 8, shared: true }));
  // ... and tarballs, each of which holds its thread.
  const tarballs = resources.use(new ThreadPool({ size: 64, kept: 2 }));
  // Whatever a Dockerfile is, it must not take the daemon's memory.
  const frontendThreads = resources.use(new SharedThreads({ megabytes: 1024 }));
  const devices = new DeviceRegistry({
    directories: config.devices.enabled ? config.devices.directories : [],
    autoAllowed: config.devices.autoAllowed,
    onProblem: (message) => log.warn(message),
  });
  // Files that are no good are told of at the start.
  await devices.current();
  const executor = await createOciExecutor({
    root: path.join(root, 'executor'),
    runtime: config.worker.runtime,
    networkMode: config.worker.network,
    dns: config.dns,
    cgroupParent: config.worker.cgroupParent,
    devices,
  });
  await executor.recover();

  const ledger = new WriteLedger(database);
  const content = await openLocalContentStore(path.join(root, 'content'), {
    doubtfulSince: ledger.doubtfulSince,
  });
  const snapshotter = resources.use(
    await makeDurable(
      chooseSnapshotter(config.worker.snapshotter, {
        root: path.join(root, 'snapshots'),
        database,
        pool: files,
        housekeeping,
      }),
      ledger,
    ),
  );
  ledger.acknowledge();
  const differ = createLayerDiffer({ pool: compression });
  const images = createImageStore(database);
  const keyStore = new SqliteKeyStore(database);
  const entries = resources.use(
    // Builds wait for what they keep in there: it is not to stand behind the deletion of a large tree.
    await openContentEntries({ directory: path.join(root, 'explain'), pool: files }),
  );
  const checksums = createContentChecksums({ database, pool: files, entries });
  const localTrees = new LocalTrees(database);
  const httpDownloads = new HttpDownloads(database);
  const builds = new BuildRegistry();
  const isIdle = () => builds.active.length === 0;
  resources.use(new DatabaseKeeper({ database, file: databaseFile, isIdle }));
  const refStore: RefStore = resources.use(
    await openRefStore({
      root: path.join(root, 'refs'),
      database,
      snapshotter,
      content,
      differ,
      pool: files,
      images,
      isIdle,
      makeRoom: (signal) => collector.makeRoom(signal),
      deleteRows: (id, layerDir) => {
        localTrees.forgetRef(id);
        httpDownloads.forgetRef(id);
        if (layerDir !== undefined) checksums.forget(layerDir);
      },
      onPruned: () => reserve.adjust(),
      // What fails to go now goes at the next start.
      onRemoved: (id) =>
        void keyStore.dropResult(id).catch((error) => log.debug(`cannot drop the keys of ${id}: ${error}`)),
    }),
  );

  const sessions = new SessionRegistry();
  const clients = createClientServices(sessions, { directory: path.join(root, 'sockets') });
  const output = createClientOutput(sessions, { pool: transfers });
  const registry = resources.use(createRegistry({ hosts: config.registries }));

  const imageSource = createImageSource({
    registry,
    content,
    refStore,
    services: clients,
    localImages: images,
  });
  const layoutSource = createOciLayoutSource({ sessions, content, refStore });
  const localSource = createLocalSource({ sessions, refStore, checksums, database, pool: transfers });
  const httpSource = resources.use(
    createHttpSource({ sessions, services: clients, refStore, checksums, database }),
  );
  const gitSource = createGitSource({
    services: clients,
    refStore,
    pool: files,
    directory: path.join(root, 'git'),
  });
  const sources = [imageSource, layoutSource, localSource, httpSource, gitSource].flatMap((source: Source) =>
    source.schemes.map((scheme) => [scheme, source] as const),
  );
  const platforms =
    config.worker.platforms.length > 0 ? config.worker.platforms.map(parsePlatform) : [hostPlatform()];
  const explainer = new Explainer({ database, entries, platform: platforms[0]! });
  const solver = createSolver<ImmutableRef, BuildContext>({
    traits: refTraits,
    results: refResults(refStore),
    keyStore,
    maxParallelism: config.worker.maxParallelism || undefined,
    observer: explainer,
  });
  resources.defer(() => solver.close());

  const policies = await gcPolicies(config.worker.gc, root);
  const worker = new WorkerDescription({
    id: await workerId(root),
    labels: {
      'org.mobyproject.buildkit.worker.executor': 'oci',
      'org.mobyproject.buildkit.worker.hostname': hostname(),
      'org.mobyproject.buildkit.worker.network': config.worker.network,
      'org.mobyproject.buildkit.worker.oci.process-mode': 'sandbox',
      'org.mobyproject.buildkit.worker.selinux.enabled': 'false',
      'org.mobyproject.buildkit.worker.snapshotter':
        snapshotter.name === 'overlay' ? 'overlayfs' : snapshotter.name,
      ...config.worker.labels,
    },
    platforms,
    policies,
    version,
  });

  const writer = { refStore, content, registry, services: clients, images };
  const exporters = [
    createImageExporter(writer),
    createArchiveExporter('oci', { ...writer, output, sessions }),
    createArchiveExporter('docker', { ...writer, output, sessions }),
    createTarExporter({ output, pool: tarballs }),
    createLocalExporter({ output, pool: files }),
  ];
  const frontends = config.frontends.dockerfile
    ? [createThreadedFrontend({ name: dockerfileFrontend, module: dockerfileTask, threads: frontendThreads })]
    : [];
  const parts: EngineParts = {
    refStore,
    checksums,
    executor,
    devices,
    fileOps: createFileOps({ pool: files }),
    sources: new Map(sources),
    clients,
    platform: platforms[0]!,
    solver,
    explainer,
    images: imageSource,
    layouts: layoutSource,
    downloads: httpSource,
    repositories: gitSource,
    sourceVerifier: createSourceVerifier(sessions),
    clientExporters: createClientExporters(sessions),
    frontends: new Map(frontends.map((frontend) => [frontend.name, frontend])),
    exporters: new Map(exporters.map((exporter) => [exporter.type, exporter])),
    worker,
    entitlements: entitlementNames.filter(
      (name) =>
        config.entitlements.some((text) => entitlementOf(text) === name) ||
        (name === 'device' && config.devices.enabled),
    ),
  };
  const engine = new Engine(parts);
  const historyStore = await openLocalContentStore(path.join(root, 'history'), {
    doubtfulSince: ledger.doubtfulSince,
  });
  const historyBlobs = new HistoryBlobs({ database, store: historyStore, content });
  const history = resources.use(
    new BuildHistory({
      database,
      blobs: historyBlobs,
      onFailure: (error) => log.warn(`cannot write the record of a build: ${asKilnError(error).message}`),
    }),
  );
  await historyBlobs.recover();
  const collector = resources.use(
    new GarbageCollector({ refStore, policies: await collectedBy(policies, root), root, isIdle, log }),
  );
  collector.schedule();
  const sweep = new AbortController();
  const swept = dropLostResults(keyStore, refStore, sweep.signal).catch((error) =>
    log.debug(`cannot drop the keys of lost results: ${error}`),
  );
  resources.defer(async () => {
    sweep.abort();
    await swept;
  });
  const flusher = resources.use(new DiskFlusher({ root, snapshotter, isIdle, log }));
  if (ledger.restingSince !== undefined) {
    if (Date.now() - ledger.restingSince > writebackTime) void flusher.flush();
    else flusher.schedule();
  }
  const memory = resources.use(
    new IdleMemory([files, compression, transfers, tarballs, housekeeping, frontendThreads], isIdle),
  );

  const control = controlService({
    engine,
    builds,
    history,
    refStore,
    worker,
    devices,
    log,
    onBuildStart: () => collector.watch(),
    onBuildEnd: () => {
      reserve.adjust();
      collector.schedule();
      flusher.schedule();
      memory.schedule();
    },
  });
  const debug = debugService({ solver, builds, eventLoop: resources.use(new EventLoopWatch()) });
  resources.defer(() => builds.cancelAll());
  const owned = resources.move();
  return {
    routes(router) {
      router.service(Control, control);
      router.service(LLBBridge, gatewayService(builds, worker));
      router.service(Content, blobService([content, historyStore]));
      router.service(Health, { check: () => ({ status: HealthCheckResponse_ServingStatus.SERVING }) });
      router.service(Debug, debug);
      router.service(TraceService, { export: () => ({}) });
    },
    sessions,
    builds,
    warm: () => {
      if (config.frontends.dockerfile) frontendThreads.prepare(dockerfileTask);
    },
    flush: () => flusher.flush(),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/**
 * Nobody else gets into the root, whatever it was before: what steps made is below it, set-uid programs included, and so are
 * build arguments and logs. Containers need no way through it: what they see is mounted by their runtime.
 */
async function prepareRoot(root: string): Promise<void> {
  try {
    await mkdir(root, { recursive: true, mode: 0o700 });
    const { mode, uid } = await stat(root);
    if (mode & sharedDirectory) {
      throw new KilnError('invalid_argument', `cannot use ${root} as root: others keep files in it`, {
        hint: 'name a directory in it with --root',
      });
    }
    if (uid !== geteuid?.()) await chown(root, geteuid?.() ?? 0, getegid?.() ?? 0);
    await chmod(root, 0o700);
  } catch (cause) {
    if (cause instanceof KilnError) throw cause;
    throw new KilnError(
      errnoOf(cause) === 'EACCES' || errnoOf(cause) === 'EPERM' ? 'permission_denied' : 'failed_precondition',
      `cannot use ${root} as root: ${(cause as Error).message}`,
      { cause, hint: 'run as root, or choose another place with --root' },
    );
  }
}

/** Made once, kept in the root. */
async function workerId(root: string): Promise<string> {
  const file = path.join(root, 'workerid');
  try {
    return (await readFile(file, 'utf8')).trim();
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT') throw error;
  }
  const id = randomBytes(16).toString('hex');
  await writeFile(`${file}.new`, id, { mode: 0o600 });
  await rename(`${file}.new`, file);
  return id;
}

/** The rules, and after them the one that keeps the disk from running full. */
async function collectedBy(policies: readonly GcPolicy[], root: string): Promise<readonly GcPolicy[]> {
  if (policies.length === 0) return [];
  const { blocks, bsize } = await statfs(root);
  return [...policies, emergencyPolicy(blocks * bsize)];
}

/** The configured rules in bytes, or the default ones for the disk that `root` is on. */
async function gcPolicies(gc: GcConfig, root: string): Promise<readonly GcPolicy[]> {
  if (!gc.enabled) return [];
  const { blocks, bsize } = await statfs(root);
  const total = blocks * bsize;
  const bytes = (space: DiskSpace | undefined, otherwise: number): number => {
    if (!space) return otherwise;
    return space.kind === 'bytes' ? space.bytes : Math.round((total * space.percentage) / 100);
  };
  if (gc.policies) {
    return gc.policies.map((rule) => ({
      ...rule,
      reservedSpace: bytes(rule.reservedSpace, 0),
      maxUsedSpace: bytes(rule.maxUsedSpace, 0),
      minFreeSpace: bytes(rule.minFreeSpace, 0),
    }));
  }
  const configured = gc.reservedSpace || gc.maxUsedSpace || gc.minFreeSpace;
  const limits = configured ? { reservedSpace: 0, maxUsedSpace: 0, minFreeSpace: 0 } : defaultLimits(total);
  return defaultPolicies({
    reservedSpace: Math.round(bytes(gc.reservedSpace, limits.reservedSpace)),
    maxUsedSpace: Math.round(bytes(gc.maxUsedSpace, limits.maxUsedSpace)),
    minFreeSpace: Math.round(bytes(gc.minFreeSpace, limits.minFreeSpace)),
  });
}
