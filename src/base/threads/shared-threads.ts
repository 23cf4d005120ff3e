import { availableParallelism } from 'node:os';
import type { Worker } from 'node:worker_threads';
import { abortError } from '../async/lifetime.ts';
import { KilnError } from '../errors.ts';
import {
  answer,
  type FromWorker,
  fromWireError,
  newTaskState,
  type RunMessage,
  type RunOptions,
  startWorker,
  stopWorker,
  type TaskState,
  type ToWorker,
  taskState,
} from './thread-pool.ts';

/** Milliseconds in which a thread that lets its event loop turn begins a task; after that another one is given it. */
const beginning = 250;
/** Milliseconds that an aborted task gets to notice it. */
const defaultPatience = 5_000;
/** Tasks in a thread beyond which another is started, if there is a processor for it. */
const crowd = 50;

export interface SharedThreadsOptions {
  /** How many threads there are at most, but for tasks that have to be alone. */
  readonly size?: number;
  readonly patience?: number;
  /** How much a thread's heap may hold before it is ended. */
  readonly megabytes?: number;
}

export interface SharedRunOptions<Event, Question, Answer>
  extends Omit<RunOptions<Event, Question, Answer>, 'transfer'> {
  /** The task begins anew in another thread: all that it told and asked so far it will again. */
  readonly onRestart?: () => void;
}

interface Job {
  message: RunMessage;
  readonly onEvent?: (event: unknown) => void;
  readonly onAsk?: (question: unknown) => Promise<unknown>;
  readonly onRestart?: () => void;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: unknown) => void;
  /** It was in a thread that was ended, and may have been why. */
  alone: boolean;
}

interface Thread {
  readonly worker: Worker;
  readonly jobs: Map<number, Job>;
  readonly alone: boolean;
  /** Whether it has started. */
  online: boolean;
  /** It did not begin a task in time, and was not heard since. */
  blocked: boolean;
}

/**
 * Threads for tasks that mostly wait for answers: many share one, and what one of them computes keeps the others waiting, but nobody
 * outside. A task that cannot begin goes to another thread. One that is aborted and does not end is ended with its thread; the others
 * that were there begin anew, each in a thread of its own.
 */
export class SharedThreads implements AsyncDisposable {
  readonly #size: number;
  readonly #patience: number;
  readonly #megabytes: number | undefined;
  readonly #threads = new Set<Thread>();
  /** Those that have run a task since they were last tidied up. */
  readonly #untidy = new Set<Thread>();
  #nextId = 1;
  #closed = false;

  constructor(options: SharedThreadsOptions = {}) {
    this.#size = options.size ?? 8;
    this.#patience = options.patience ?? defaultPatience;
    this.#megabytes = options.megabytes;
  }

  /** Runs the default export of `module` with `input` in a thread. */
  run<Input, Output, Event = never, Question = never, Answer = never>(
    module: URL,
    input: Input,
    options: SharedRunOptions<Event, Question, Answer> = {},
  ): Promise<Output> {
    const { signal } = options;
    if (this.#closed) return Promise.reject(new KilnError('unavailable', 'the threads are closed'));
    if (signal?.aborted) return Promise.reject(abortError(signal));
    return new Promise<Output>((resolve, reject) => {
      const stop = () => this.#abort(job, abortError(signal!));
      const settle = () => signal?.removeEventListener('abort', stop);
      const job: Job = {
        message: { kind: 'run', id: 0, module: module.href, input, state: newTaskState() },
        onEvent: options.onEvent as (event: unknown) => void,
        onAsk: options.onAsk as (question: unknown) => Promise<unknown>,
        onRestart: options.onRestart,
        resolve: (value) => {
          settle();
          resolve(value as Output);
        },
        reject: (error) => {
          settle();
          reject(error);
        },
        alone: false,
      };
      signal?.addEventListener('abort', stop, { once: true });
      this.#place(job);
    });
  }

  /** Starts a thread if there is none, which loads what `module` needs before anybody asks for it. Does not wait. */
  prepare(module: URL): void {
    if (this.#closed || this.#threads.size > 0) return;
    const { worker } = this.#start(false);
    worker.postMessage({ kind: 'load', module: module.href } satisfies ToWorker);
  }

  /** Calls the default export of `module` in each idle thread that has run a task since the last time. Does not wait for it. */
  tidy(module: URL): void {
    for (const thread of this.#untidy) {
      if (thread.jobs.size > 0) continue;
      this.#untidy.delete(thread);
      thread.worker.postMessage({ kind: 'tidy', module: module.href } satisfies ToWorker);
    }
  }

  #place(job: Job, except?: Thread): void {
    const id = this.#nextId++;
    const state = newTaskState();
    job.message = { ...job.message, id, state };
    const thread = this.#choose(job, except);
    thread.jobs.set(id, job);
    this.#untidy.add(thread);
    thread.worker.ref();
    try {
      thread.worker.postMessage(job.message);
    } catch (error) {
      this.#finish(thread, job);
      job.reject(error);
      return;
    }
    if (thread.online) this.#watch(thread, job);
  }

  /** Gives the task to another thread if this one, which has started, does not begin it. */
  #watch(thread: Thread, job: Job): void {
    if (thread.alone) return;
    const { id, state } = job.message;
    setTimeout(() => {
      if (thread.jobs.get(id) !== job || !takeBack(state)) return;
      thread.blocked = true;
      thread.jobs.delete(id);
      this.#place(job, thread);
    }, beginning).unref();
  }

  #choose({ alone }: Job, except: Thread | undefined): Thread {
    if (alone) return this.#start(true);
    const shared = [...this.#threads].filter((thread) => !thread.alone && thread !== except);
    const free = shared.filter(({ blocked }) => !blocked).sort((a, b) => a.jobs.size - b.jobs.size)[0];
    const isCrowded = !free || (free.jobs.size >= crowd && shared.length < availableParallelism());
    if (isCrowded && shared.length < this.#size) return this.#start(false);
    return free ?? shared[0] ?? this.#start(false);
  }

  #start(alone: boolean): Thread {
    const worker = startWorker({ niceness: 0 }, this.#megabytes);
    worker.unref();
    const thread: Thread = { worker, jobs: new Map(), alone, online: false, blocked: false };
    this.#threads.add(thread);
    worker.on('online', () => {
      thread.online = true;
      for (const job of thread.jobs.values()) this.#watch(thread, job);
    });
    worker.on('message', (message: FromWorker) => this.#heard(thread, message));
    worker.on('error', (error) => this.#lost(thread, error));
    worker.on('exit', () =>
      this.#lost(thread, new KilnError('internal', 'a worker thread ended while it had work')),
    );
    return thread;
  }

  #heard(thread: Thread, message: FromWorker): void {
    thread.blocked = false;
    const job = thread.jobs.get(message.id);
    if (!job) return;
    switch (message.kind) {
      case 'event':
        job.onEvent?.(message.event);
        return;
      case 'ask':
        void answer(thread.worker, job, message.number, message.question);
        return;
      case 'done':
        this.#finish(thread, job);
        job.resolve(message.output);
        return;
      case 'failed':
        this.#finish(thread, job);
        job.reject(fromWireError(message.error));
    }
  }

  #finish(thread: Thread, { message }: Job): void {
    thread.jobs.delete(message.id);
    if (thread.jobs.size > 0) return;
    thread.worker.unref();
    const idle = [...this.#threads].filter(({ jobs, alone }) => jobs.size === 0 && !alone);
    if (!thread.alone && idle.length <= 1) return;
    this.#forget(thread);
    thread.worker.postMessage({ kind: 'stop' } satisfies ToWorker);
  }

  #forget(thread: Thread): void {
    this.#threads.delete(thread);
    this.#untidy.delete(thread);
  }

  #abort(job: Job, reason: KilnError): void {
    const { id, state } = job.message;
    Atomics.store(state, taskState.cancelled, 1);
    const thread = [...this.#threads].find(({ jobs }) => jobs.get(id) === job);
    if (!thread) return;
    if (takeBack(state)) {
      this.#finish(thread, job);
      job.reject(reason);
      return;
    }
    thread.worker.postMessage({ kind: 'abort', id } satisfies ToWorker);
    const end = () => {
      if (thread.jobs.get(id) !== job) return;
      // A thread that is ended while it loads a native module takes the whole process with it.
      if (Atomics.load(state, taskState.loaded) === 0) setTimeout(end, this.#patience).unref();
      else void thread.worker.terminate();
    };
    setTimeout(end, this.#patience).unref();
  }

  #lost(thread: Thread, error: unknown): void {
    this.#forget(thread);
    const jobs = [...thread.jobs.values()];
    thread.jobs.clear();
    for (const job of jobs) {
      if (Atomics.load(job.message.state, taskState.cancelled) !== 0) {
        job.reject(new KilnError('canceled', 'canceled', { cause: error }));
      } else if (job.alone || this.#closed) job.reject(lossOf(error));
      else {
        job.alone = true;
        job.onRestart?.();
        this.#place(job);
      }
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    for (const { jobs } of this.#threads)
      for (const job of jobs.values()) this.#abort(job, new KilnError('canceled', 'the threads are closed'));
    await Promise.all([...this.#threads].map(({ worker }) => stopWorker(worker)));
  }
}

/** Whether a task that was given to a thread has not begun there, and now will not. */
function takeBack(state: TaskState): boolean {
  return Atomics.compareExchange(state, taskState.begun, 0, 2) === 0;
}

function lossOf(error: unknown): unknown {
  if ((error as { code?: unknown } | undefined)?.code !== 'ERR_WORKER_OUT_OF_MEMORY') return error;
  return new KilnError('resource_exhausted', 'a thread needed more memory than it may have', {
    cause: error,
  });
}
