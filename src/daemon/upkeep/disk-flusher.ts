import { asKilnError } from '../../base/errors.ts';
import { syncFileSystem } from '../../linux/sync-file-system.ts';
import type { DurableSnapshotter } from '../../snapshot/durable-snapshotter.ts';
import type { DaemonLog } from '../daemon-log.ts';

/** Milliseconds from the end of a build to the flush: what is deleted soon need not reach the disk. */
const delay = 5_000;
/** Milliseconds that the last flush of a daemon that stops may take. */
const patience = 10_000;

export interface DiskFlusherOptions {
  readonly root: string;
  readonly snapshotter: DurableSnapshotter;
  /** Whether no build is running. */
  readonly isIdle: () => boolean;
  readonly log: DaemonLog;
}

/** Brings the root's files to the disk a moment after builds, so that builds need not wait for it. One flush at a time. */
export class DiskFlusher implements Disposable {
  readonly #options: DiskFlusherOptions;
  #timer: NodeJS.Timeout | undefined;
  #running: Promise<void> = Promise.resolve();
  #ended = false;

  constructor(options: DiskFlusherOptions) {
    this.#options = options;
  }

  /** Plans a flush; calls before it has begun change nothing. */
  schedule(): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      void this.flush();
    }, delay).unref();
  }

  /** Resolves when what was written so far is on the disk, or when that takes too long or fails. */
  async flush(): Promise<void> {
    this.#running = this.#running.then(() => this.#flush());
    await Promise.race([this.#running, new Promise((resolve) => setTimeout(resolve, patience).unref())]);
  }

  async #flush(): Promise<void> {
    const { root, snapshotter, isIdle, log } = this.#options;
    try {
      await snapshotter.flush(() => syncFileSystem(root), { idle: isIdle() });
    } catch (error) {
      if (!this.#ended) log.warn(`cannot bring ${root} to the disk: ${asKilnError(error).message}`);
    }
  }

  /** A flush that is still running counts for nothing. */
  [Symbol.dispose](): void {
    this.#ended = true;
    clearTimeout(this.#timer);
  }
}
