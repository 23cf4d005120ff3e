import type { GcPolicy } from '../config/gc-policy.ts';
import type { DaemonLog } from '../daemon-log.ts';
import { DiskFlusher } from '../upkeep/disk-flusher.ts';
import { dropLostResults } from '../upkeep/drop-lost-results.ts';
import { GarbageCollector } from '../upkeep/garbage-collector.ts';
import { IdleMemory } from '../upkeep/idle-memory.ts';
import type { EngineRoot } from './open-root.ts';
import type { EngineStorage } from './open-storage.ts';
import type { EngineThreads } from './open-threads.ts';

/** Milliseconds after which the kernel has brought most of what was written to the disk by itself. */
const writebackTime = 60_000;

export interface UpkeepOptions {
  readonly root: EngineRoot;
  readonly storage: EngineStorage;
  readonly threads: EngineThreads;
  /** None: nothing is ever collected. */
  readonly policies: readonly GcPolicy[];
  /** Whether no build is running. */
  readonly isIdle: () => boolean;
  readonly log: DaemonLog;
}

/** What is done beside builds: garbage collection, flushes to the disk, and giving memory back. */
export interface Upkeep extends AsyncDisposable {
  onBuildStart(): void;
  onBuildEnd(): void;
  /** Resolves at once unless free space is short; then when a collection has ended, or when that takes too long. */
  makeRoom(signal?: AbortSignal): Promise<void>;
  /** Brings what was built to the disk. */
  flush(): Promise<void>;
}

/** Begins with what the last process may have left: too much on the disk, keys of results that are gone, unflushed trees. */
export function openUpkeep(options: UpkeepOptions): Upkeep {
  const { root, threads, policies, isIdle, log } = options;
  const { refStore, diskUsage, keyStore, snapshotter, ledger } = options.storage;
  const { directory } = root;
  const owned = new AsyncDisposableStack();
  const collector = owned.use(new GarbageCollector({ diskUsage, policies, root: directory, isIdle, log }));
  collector.schedule();
  const sweep = new AbortController();
  const swept = dropLostResults(keyStore, refStore, sweep.signal).catch((error) =>
    log.debug(`cannot drop the keys of lost results: ${error}`),
  );
  owned.defer(async () => {
    sweep.abort();
    await swept;
  });
  const flusher = owned.use(new DiskFlusher({ root: directory, snapshotter, isIdle, log }));
  if (ledger.restingSince !== undefined) {
    if (Date.now() - ledger.restingSince > writebackTime) void flusher.flush();
    else flusher.schedule();
  }
  const { files, compression, unpacking, transfers, tarballs, housekeeping, frontends } = threads;
  const memory = owned.use(
    new IdleMemory([files, compression, unpacking, transfers, tarballs, housekeeping, frontends], isIdle),
  );
  return {
    onBuildStart: () => collector.watch(),
    onBuildEnd: () => {
      root.reserve.adjust();
      collector.schedule();
      flusher.schedule();
      memory.schedule();
    },
    makeRoom: (signal) => collector.makeRoom(signal),
    flush: () => flusher.flush(),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}
