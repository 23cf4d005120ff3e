import { awakeTimeout } from '../../base/async/awake-timeout.ts';
import { abortable, type Deferred, deferred } from '../../base/async/lifetime.ts';
import { KilnError } from '../../base/errors.ts';
import type { Build } from '../../engine/engine.ts';
import type { BuildProgress } from './build-progress.ts';
import type { GatewayBuild } from './gateway-build.ts';

/** A build as the services know it. */
export interface ActiveBuild extends GatewayBuild {
  readonly id: string;
  readonly build: Build;
  readonly progress: BuildProgress;
  readonly startedAt: Date;
}

interface EndedBuild {
  readonly progress: BuildProgress;
  /** Forgets it. */
  readonly timer: NodeJS.Timeout;
}

/** Milliseconds by which a call may come before the build that it names. */
const patience = 5_000;
/** How many ended builds have progress that can still be read, and for how many milliseconds. */
const remembered = 50;
const memory = 30_000;

/** The running builds by id. Clients open their calls in any order: those that come before their build wait for it. */
export class BuildRegistry {
  readonly #active = new Map<string, ActiveBuild>();
  readonly #ended = new Map<string, EndedBuild>();
  readonly #awaited = new Map<string, Deferred<void>>();
  /** Resolved when a build is removed, for callers that wait for the end of all builds. */
  #removal: Deferred<void> | undefined;
  #refusing: KilnError | undefined;

  /** Throws `already_exists` for the id of a running build, and the reason that `refuse` was given once it was called. */
  add(build: Build, parts: Pick<ActiveBuild, 'progress' | 'inputs' | 'refs' | 'containers'>): ActiveBuild {
    const { id } = build;
    this.check(id);
    const active: ActiveBuild = { ...parts, id, build, startedAt: new Date() };
    this.#active.set(id, active);
    this.#forget(id);
    this.#awaited.get(id)?.resolve();
    this.#awaited.delete(id);
    return active;
  }

  /** Throws when a build of this id could not be added. */
  check(id: string): void {
    if (this.#refusing) throw this.#refusing;
    if (id === '') throw new KilnError('invalid_argument', 'a build needs a ref');
    if (this.#active.has(id)) throw new KilnError('already_exists', `build ${id} is already running`);
  }

  /**
   * Says that a build was refused, which counts as ended without progress: calls that wait for it need not wait longer, and a call
   * that follows its progress must not fail before `Solve` has failed with the reason.
   */
  notStarted(id: string, progress: BuildProgress): void {
    if (this.#active.has(id)) return;
    this.#remember(id, progress);
    this.#awaited.get(id)?.resolve();
    this.#awaited.delete(id);
  }

  remove({ id, progress }: ActiveBuild): void {
    this.#active.delete(id);
    this.#removal?.resolve();
    this.#removal = undefined;
    this.#remember(id, progress);
  }

  /** Waits a while for a build that has not started yet. Throws `not_found`. */
  async get(id: string, signal: AbortSignal): Promise<ActiveBuild> {
    await this.#arrival(id, signal, () => this.#active.has(id));
    const active = this.#active.get(id);
    if (!active)
      throw new KilnError('not_found', `no such job ${id}`, {
        hint: 'the build has ended, or never started',
      });
    return active;
  }

  /** The progress of a build that runs or has ended lately; waits like `get`, unless the build is known to be a past one. */
  async progress(
    id: string,
    signal: AbortSignal,
    isPast: (id: string) => boolean,
  ): Promise<BuildProgress | undefined> {
    await this.#arrival(id, signal, () => this.#active.has(id) || this.#ended.has(id) || isPast(id));
    return this.#active.get(id)?.progress ?? this.#ended.get(id)?.progress;
  }

  get active(): readonly ActiveBuild[] {
    return [...this.#active.values()];
  }

  /** No new builds from now on. */
  refuse(reason: KilnError): void {
    this.#refusing = reason;
  }

  /** Ends every running build, and waits until all are removed. */
  async cancelAll(): Promise<void> {
    for (const { build } of this.#active.values()) build.cancel(this.#refusing);
    while (this.#active.size > 0) {
      this.#removal ??= deferred();
      await this.#removal.promise;
    }
  }

  #remember(id: string, progress: BuildProgress): void {
    this.#forget(id);
    const timer = setTimeout(() => this.#ended.delete(id), memory).unref();
    this.#ended.set(id, { progress, timer });
    if (this.#ended.size > remembered) this.#forget(this.#ended.keys().next().value!);
  }

  #forget(id: string): void {
    clearTimeout(this.#ended.get(id)?.timer);
    this.#ended.delete(id);
  }

  async #arrival(id: string, signal: AbortSignal, here: () => boolean): Promise<void> {
    if (here()) return;
    const awaited = this.#awaited.get(id) ?? deferred<void>();
    this.#awaited.set(id, awaited);
    using limit = awakeTimeout(patience);
    try {
      await abortable(awaited.promise, AbortSignal.any([signal, limit.signal]));
    } catch (error) {
      if (!limit.signal.aborted) throw error;
      this.#awaited.delete(id);
    }
  }
}
