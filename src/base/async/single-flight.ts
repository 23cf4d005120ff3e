import type { ProgressWriter, StatusEvent, WaitContext } from '../progress.ts';
import { abortable, abortError, throwIfAborted } from './lifetime.ts';

/** What the work is given. */
export interface FlightContext {
  /** Aborts when no caller waits any more. */
  readonly signal: AbortSignal;
  /** Reaches every caller that has a progress writer. */
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
 * Runs work once for all callers that ask for it under one key while it runs. Each caller has a signal of its own and may leave;
 * work that the last caller leaves is aborted. A caller with a progress writer sees the progress of the work from its start.
 * Nothing is remembered: a call after the work has ended runs it again, and a call while aborted work is still ending waits for
 * that end, so work under one key never runs twice at the same time.
 */
export class SingleFlight<T> {
  readonly #running = new Map<string, Running<T>>();

  /** Returns what the work returns, or throws what it throws; throws `canceled` when the caller's signal aborts. */
  async run(key: string, work: (context: FlightContext) => Promise<T>, caller: WaitContext = {}): Promise<T> {
    let running = this.#running.get(key);
    while (running?.controller.signal.aborted) {
      await abortable(running.promise.then(nothing, nothing), caller.signal);
      running = this.#running.get(key);
    }
    throwIfAborted(caller.signal);
    running ??= this.#start(key, work);
    return this.#wait(running, caller);
  }

  #start(key: string, work: (context: FlightContext) => Promise<T>): Running<T> {
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

  async #wait(running: Running<T>, { signal, progress }: WaitContext): Promise<T> {
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
