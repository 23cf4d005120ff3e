import type { ProgressWriter, StatusEvent } from '../progress.ts';
import { abortable, abortError, throwIfAborted } from './lifetime.ts';

export interface WorkContext {
  readonly signal: AbortSignal;
  readonly progress: ProgressWriter;
}

interface Running<T> {
  readonly promise: Promise<T>;
  readonly controller: AbortController;
  readonly watchers: Set<ProgressWriter>;
  readonly statuses: Map<string, StatusEvent>;
  users: number;
}

/**
 * Work that several may ask for at once and that is done once; each of them sees its progress, from the start on. Each can
 * stop waiting on its own, and when nobody waits any more the work is aborted. Who asks again before aborted work has
 * come to its end waits for that: the work for one key never runs twice at the same time.
 */
export class ObservedWork<T> {
  readonly #running = new Map<string, Running<T>>();

  async run(
    key: string,
    work: (context: WorkContext) => Promise<T>,
    caller: { readonly signal?: AbortSignal; readonly progress?: ProgressWriter } = {},
  ): Promise<T> {
    let running = this.#running.get(key);
    while (running?.controller.signal.aborted) {
      await abortable(running.promise.then(nothing, nothing), caller.signal);
      running = this.#running.get(key);
    }
    throwIfAborted(caller.signal);
    running ??= this.#start(key, work);
    return this.#wait(running, caller);
  }

  #start(key: string, work: (context: WorkContext) => Promise<T>): Running<T> {
    const controller = new AbortController();
    const watchers = new Set<ProgressWriter>();
    const statuses = new Map<string, StatusEvent>();
    const progress: ProgressWriter = {
      status(event) {
        statuses.set(event.id, event);
        for (const watcher of watchers) watcher.status(event);
      },
      log(stream, data) {
        for (const watcher of watchers) watcher.log(stream, data);
      },
      warn(event) {
        for (const watcher of watchers) watcher.warn(event);
      },
    };
    const promise = work({ signal: controller.signal, progress }).finally(() => this.#running.delete(key));
    promise.catch(nothing);
    const running = { promise, controller, watchers, statuses, users: 0 };
    this.#running.set(key, running);
    return running;
  }

  async #wait(
    running: Running<T>,
    { signal, progress }: { readonly signal?: AbortSignal; readonly progress?: ProgressWriter },
  ): Promise<T> {
    running.users++;
    if (progress && !running.watchers.has(progress)) {
      for (const event of running.statuses.values()) progress.status(event);
      running.watchers.add(progress);
    }
    try {
      return await abortable(running.promise, signal);
    } finally {
      running.users--;
      if (progress) running.watchers.delete(progress);
      if (running.users === 0) running.controller.abort(signal?.aborted ? abortError(signal) : undefined);
    }
  }
}

function nothing(): void {}
