import { availableParallelism } from 'node:os';
import { abortError } from '../async/lifetime.ts';
import { KilnError } from '../errors.ts';
import { TaskThread, type ThreadOwner } from './task-thread.ts';
import { type RunOptions, ThreadJob } from './thread-job.ts';

export interface ThreadPoolOptions {
  /**
   * How many threads there are at most, by default one a core, and at least two. One more may start for a task that its thread did not begin
   * in time, and one for each task that needs a thread of its own.
   */
  readonly size?: number;
  /** How many idle threads stay; by default all. */
  readonly kept?: number;
  /** How many tasks a thread has before another thread is started; by default one. */
  readonly tasksPerThread?: number;
  /**
   * Whether tasks that come when all threads have that many begin beside others, instead of waiting for their end. For tasks that mostly
   * wait themselves: what one of them computes keeps the others of its thread waiting.
   */
  readonly shared?: boolean;
  /** How far the threads stand back for others, as in setpriority(2); by default not at all. */
  readonly niceness?: number;
  /** How many megabytes the heap of a thread may hold before the thread is ended; by default as many as V8 thinks fit. */
  readonly megabytes?: number;
  /** Milliseconds that an aborted task gets to end by itself; by default longer than any one call of the system should take. */
  readonly patience?: number;
}

/**
 * Threads for work that would block the event loop. They start when they are first needed.
 *
 * A task that was aborted and does not end is ended with its thread. Other tasks of that thread begin anew, each in a thread of its own,
 * if they may (`RunOptions.onRestart`), and otherwise fail; for the sake of those, the thread is given a minute. What a thread held outside
 * of itself (files that it opened, mounts) stays.
 */
export class ThreadPool implements AsyncDisposable {
  readonly size: number;
  readonly #kept: number;
  readonly #tasksPerThread: number;
  readonly #shared: boolean;
  readonly #start: () => TaskThread;
  readonly #threads = new Set<TaskThread>();
  /** Threads of tasks that need one of their own. */
  readonly #alone = new Set<TaskThread>();
  readonly #queue: ThreadJob[] = [];
  #closed = false;

  constructor(options: ThreadPoolOptions = {}) {
    this.size = options.size ?? Math.max(2, availableParallelism());
    this.#kept = options.kept ?? this.size;
    this.#tasksPerThread = options.tasksPerThread ?? 1;
    this.#shared = options.shared ?? false;
    const { niceness = 0, megabytes, patience = 5_000 } = options;
    const owner: ThreadOwner = {
      freed: (thread) => this.#freed(thread),
      late: (thread, job) => {
        job.move();
        this.#place(job, thread);
      },
      lost: (thread, jobs, error) => this.#lost(thread, jobs, error),
    };
    this.#start = () => new TaskThread({ niceness, megabytes, patience }, owner);
  }

  /**
   * Runs the default export of `module`, a `Task`, with `input` in a thread. Rejects with what the task throws, as `canceled` when `signal`
   * aborts, and as `resource_exhausted` when the thread needs more memory than it may have.
   */
  async run<Input, Output, Event = never, Question = never, Answer = never>(
    module: URL,
    input: Input,
    options: RunOptions<Event, Question, Answer> = {},
  ): Promise<Output> {
    const { signal } = options;
    if (this.#closed) throw new KilnError('unavailable', 'the thread pool is closed');
    if (signal?.aborted) throw abortError(signal);
    const job = new ThreadJob(module, input, options as RunOptions<unknown, unknown, unknown>);
    const stop = () => this.#abort(job, abortError(signal!));
    signal?.addEventListener('abort', stop, { once: true });
    try {
      this.#place(job);
      return (await job.result) as Output;
    } finally {
      signal?.removeEventListener('abort', stop);
    }
  }

  /** Starts a thread if there is none, which loads what tasks of `module` need before anybody asks for one. Does not wait. */
  prepare(module: URL): void {
    if (this.#closed || this.#threads.size > 0) return;
    const thread = this.#start();
    this.#threads.add(thread);
    thread.load(module);
  }

  /** Calls the default export of `module` in each idle thread that has run a task since the last time. Does not wait. */
  tidy(module: URL): void {
    for (const thread of this.#threads) thread.tidy(module);
  }

  #place(job: ThreadJob, except?: TaskThread): void {
    if (job.alone) {
      const thread = this.#start();
      this.#alone.add(thread);
      thread.give(job);
      return;
    }
    const thread = this.#choose(except);
    if (thread) thread.give(job);
    else this.#queue.push(job);
  }

  /** Returns a thread for one more task, or nothing if the task has to wait. */
  #choose(except?: TaskThread): TaskThread | undefined {
    const threads = [...this.#threads].filter((thread) => thread !== except);
    const free = leastBusy(threads.filter(({ blocked }) => !blocked));
    if (free && free.jobs.size < this.#tasksPerThread) return free;
    if (threads.length < this.size) {
      const thread = this.#start();
      this.#threads.add(thread);
      return thread;
    }
    return this.#shared ? (free ?? leastBusy(threads)) : undefined;
  }

  #abort(job: ThreadJob, reason: KilnError): void {
    job.state.cancel();
    const index = this.#queue.indexOf(job);
    if (index >= 0) {
      this.#queue.splice(index, 1);
      job.reject(reason);
      return;
    }
    for (const thread of [...this.#threads, ...this.#alone])
      if (thread.jobs.get(job.id) === job) thread.abort(job, reason);
  }

  #freed(thread: TaskThread): void {
    this.#dispatch();
    if (thread.jobs.size > 0) return;
    const idle = [...this.#threads].filter(({ jobs, blocked }) => jobs.size === 0 && !blocked);
    if (!this.#alone.has(thread) && idle.length <= this.#kept) return;
    this.#forget(thread);
    thread.stop();
  }

  #lost(thread: TaskThread, jobs: readonly ThreadJob[], error: unknown): void {
    this.#forget(thread);
    for (const job of jobs) {
      if (job.state.isCancelled) job.reject(new KilnError('canceled', 'canceled', { cause: error }));
      else if (this.#closed || job.alone || !job.canMove) job.reject(lossOf(error));
      else {
        job.restart();
        this.#place(job);
      }
    }
    this.#dispatch();
  }

  #forget(thread: TaskThread): void {
    this.#threads.delete(thread);
    this.#alone.delete(thread);
  }

  /** Gives threads what waits, as far as there are threads for it. */
  #dispatch(): void {
    while (!this.#closed && this.#queue.length > 0) {
      const thread = this.#choose();
      if (!thread) return;
      thread.give(this.#queue.shift()!);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    const threads = [...this.#threads, ...this.#alone];
    const jobs = [...this.#queue, ...threads.flatMap((thread) => [...thread.jobs.values()])];
    for (const job of jobs) this.#abort(job, new KilnError('canceled', 'the thread pool is closed'));
    await Promise.all(threads.map((thread) => thread.close()));
  }
}

function leastBusy(threads: readonly TaskThread[]): TaskThread | undefined {
  return threads.reduce<TaskThread | undefined>(
    (least, each) => (least && least.jobs.size <= each.jobs.size ? least : each),
    undefined,
  );
}

function lossOf(error: unknown): unknown {
  if ((error as { code?: unknown } | undefined)?.code !== 'ERR_WORKER_OUT_OF_MEMORY') return error;
  return new KilnError('resource_exhausted', 'a thread needed more memory than it may have', {
    cause: error,
  });
}
