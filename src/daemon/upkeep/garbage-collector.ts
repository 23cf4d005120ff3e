import { statfs } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { abortable } from '../../base/async/lifetime.ts';
import { asKilnError } from '../../base/errors.ts';
import type { DiskUsage } from '../../ref/disk-usage.ts';
import type { GcPolicy } from '../config/gc-policy.ts';
import type { DaemonLog } from '../daemon-log.ts';

/** Milliseconds from the end of a build to the collection, since builds often come in a row. */
const delay = 1_000;
/** Milliseconds between two checks of the disk while builds run. */
const lookInterval = 100;
/** Milliseconds after a collection that could not make enough room until the next try. */
const retryInterval = 500;
/** Milliseconds that a step waits for room before it begins anyway. */
const patience = 10_000;
/** A collection during builds is worth it when the cache has grown by this part of what it may take. */
const growthStep = 0.05;

export interface GarbageCollectorOptions {
  readonly diskUsage: DiskUsage;
  /** None: nothing is ever collected. */
  readonly policies: readonly GcPolicy[];
  /** A directory on the disk that must not run full. */
  readonly root: string;
  /** Whether no build is running. */
  readonly isIdle: () => boolean;
  readonly log: DaemonLog;
}

/**
 * Keeps the cache within its limits and the disk from running full: one collection at a time, started a moment after
 * builds end, and while they run as soon as free space is short or the cache has outgrown a limit.
 */
export class GarbageCollector implements AsyncDisposable {
  readonly #options: GarbageCollectorOptions;
  readonly #stop = new AbortController();
  /** Free bytes below which a collection is due. */
  readonly #lowWater: number;
  /** Bytes of the smallest limit on all that is kept. */
  readonly #highWater: number;
  #timer: NodeJS.Timeout | undefined;
  #watching: Promise<void> | undefined;
  #running: Promise<void> | undefined;
  #sizeAfter = 0;
  #fruitlessUntil = 0;

  constructor(options: GarbageCollectorOptions) {
    this.#options = options;
    const { policies } = options;
    this.#lowWater = Math.max(0, ...policies.map((policy) => policy.minFreeSpace));
    this.#highWater = Math.min(...policies.map((policy) => policy.maxUsedSpace || Number.POSITIVE_INFINITY));
  }

  /** To be called when a build starts: the disk is watched until none runs any more. */
  watch(): void {
    if (this.#options.policies.length === 0 || this.#stop.signal.aborted) return;
    this.#watching ??= this.#watch().finally(() => {
      this.#watching = undefined;
    });
  }

  /** To be called when a build ends: a collection soon; further calls until then change nothing. */
  schedule(): void {
    if (this.#timer || this.#stop.signal.aborted || this.#options.policies.length === 0) return;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      void this.#collect();
    }, delay);
    this.#timer.unref();
  }

  /** Resolves at once unless free space is short; then when a collection has ended, or when that takes too long. */
  async makeRoom(signal?: AbortSignal): Promise<void> {
    if (this.#options.policies.length === 0 || this.#stop.signal.aborted) return;
    if (this.#fruitlessUntil > Date.now() || !(await this.#isShort())) return;
    const limit = AbortSignal.timeout(patience);
    try {
      await abortable(this.#collect(), signal ? AbortSignal.any([signal, limit]) : limit);
    } catch (error) {
      if (!limit.aborted) throw error;
    }
  }

  async #watch(): Promise<void> {
    const { diskUsage, isIdle } = this.#options;
    const { signal } = this.#stop;
    while (!isIdle() && !signal.aborted) {
      await sleep(lookInterval, undefined, { signal, ref: false }).catch(() => {});
      if (signal.aborted || this.#fruitlessUntil > Date.now()) continue;
      const size = diskUsage.knownSize();
      const hasGrown = size > this.#highWater && size - this.#sizeAfter > growthStep * this.#highWater;
      if (hasGrown || (await this.#isShort())) await this.#collect();
    }
  }

  async #isShort(): Promise<boolean> {
    if (this.#lowWater === 0) return false;
    const { bfree, bsize } = await statfs(this.#options.root);
    return bfree * bsize < this.#lowWater;
  }

  /** Joins the collection that is running. */
  #collect(): Promise<void> {
    this.#running ??= this.#runPolicies().finally(() => {
      this.#running = undefined;
    });
    return this.#running;
  }

  async #runPolicies(): Promise<void> {
    const { diskUsage, policies, log } = this.#options;
    const { signal } = this.#stop;
    for (const policy of policies) {
      try {
        for await (const record of diskUsage.prune({ ...policy, signal })) {
          log.debug(`garbage collection removed ${record.id} (${record.size} bytes): ${record.description}`);
        }
      } catch (error) {
        if (signal.aborted) return;
        log.warn(`garbage collection failed: ${asKilnError(error).message}`);
        break;
      }
    }
    this.#sizeAfter = diskUsage.knownSize();
    // What is in use now can go when its build has ended: no need to ask for it all the time.
    this.#fruitlessUntil = (await this.#isShort()) ? Date.now() + retryInterval : 0;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearTimeout(this.#timer);
    this.#stop.abort();
    await this.#watching;
    await this.#running;
  }
}
