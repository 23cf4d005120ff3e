import { asKilnError } from '../base/errors.ts';
import type { RefStore } from '../layer/ref.ts';
import type { DaemonLog } from './daemon-log.ts';
import type { GcPolicy } from './gc-policy.ts';

/** Milliseconds from the end of a build to the collection: builds often come in a row. */
const delay = 1_000;

/** Keeps the cache within its limits. One collection at a time, started a moment after builds end. */
export class GarbageCollector implements AsyncDisposable {
  readonly #refStore: RefStore;
  readonly #policies: readonly GcPolicy[];
  readonly #log: DaemonLog;
  readonly #stop = new AbortController();
  #timer: NodeJS.Timeout | undefined;
  #running: Promise<void> | undefined;

  constructor(refStore: RefStore, policies: readonly GcPolicy[], log: DaemonLog) {
    this.#refStore = refStore;
    this.#policies = policies;
    this.#log = log;
  }

  /** A collection soon; further calls until then change nothing. */
  schedule(): void {
    if (this.#timer || this.#stop.signal.aborted || this.#policies.length === 0) return;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#running = (this.#running ?? Promise.resolve()).then(() => this.#collect());
    }, delay);
    this.#timer.unref();
  }

  async #collect(): Promise<void> {
    const { signal } = this.#stop;
    for (const policy of this.#policies) {
      try {
        for await (const record of this.#refStore.prune({ ...policy, signal })) {
          this.#log.debug(
            `garbage collection removed ${record.id} (${record.size} bytes): ${record.description}`,
          );
        }
      } catch (error) {
        if (!signal.aborted) this.#log.warn(`garbage collection failed: ${asKilnError(error).message}`);
        return;
      }
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearTimeout(this.#timer);
    this.#stop.abort();
    await this.#running;
  }
}
