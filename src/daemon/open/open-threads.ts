import { ThreadPool } from '../../base/threads/thread-pool.ts';

/** The threads of an engine, by what they are for: work of one kind never waits for threads that another kind has taken. */
export interface EngineThreads extends AsyncDisposable {
  /** Reading and writing trees. */
  readonly files: ThreadPool;
  /** Making layers: many blocks of them are compressed while files are read. */
  readonly compression: ThreadPool;
  /** Unpacking layers, for which steps wait. */
  readonly unpacking: ThreadPool;
  /** Measuring and deleting: a deletion must not wait for what fills the disk. */
  readonly housekeeping: ThreadPool;
  /** File sync: a transfer takes as long as its client does, so transfers share threads. */
  readonly transfers: ThreadPool;
  /** `type=tar` outputs: each takes as long as its client does and holds its thread. */
  readonly tarballs: ThreadPool;
  /** Frontends: whatever a Dockerfile holds, it cannot take the daemon's memory. */
  readonly frontends: ThreadPool;
}

export function openThreads(): EngineThreads {
  const owned = new AsyncDisposableStack();
  return {
    files: owned.use(new ThreadPool()),
    compression: owned.use(new ThreadPool({ niceness: 5 })),
    unpacking: owned.use(new ThreadPool()),
    housekeeping: owned.use(new ThreadPool({ size: 1, niceness: 10 })),
    transfers: owned.use(new ThreadPool({ size: 8, shared: true })),
    tarballs: owned.use(new ThreadPool({ size: 64, kept: 2 })),
    frontends: owned.use(
      new ThreadPool({ size: 8, kept: 1, tasksPerThread: 50, shared: true, megabytes: 1024 }),
    ),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}
