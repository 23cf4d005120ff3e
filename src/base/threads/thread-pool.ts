import { availableParallelism } from 'node:os';
import { type Transferable, Worker } from 'node:worker_threads';
import { abortError } from '../async/lifetime.ts';
import { asKilnError, type ErrorCode, type ErrorOptions, KilnError } from '../errors.ts';

/** What a task module's default export gets besides its input. */
export interface TaskContext<Event = never, Question = never, Answer = never> {
  /** Throws `canceled` once the caller's signal has aborted. Cheap enough for every turn of a loop. */
  throwIfAborted(): void;
  /** Aborts when the caller's does, if the task lets its event loop turn. */
  readonly signal: AbortSignal;
  emit(event: Event, transfer?: readonly Transferable[]): void;
  /** Asks the caller, and waits for what it answers or throws. */
  ask(question: Question): Promise<Answer>;
}

/** The default export of a `*.task.ts` module: runs in a thread, may block it. Inputs and results are structured clones. */
export type Task<Input, Output, Event = never, Question = never, Answer = never> = (
  input: Input,
  context: TaskContext<Event, Question, Answer>,
) => Output | Promise<Output>;

export interface RunOptions<Event, Question = never, Answer = never> {
  readonly signal?: AbortSignal;
  readonly onEvent?: (event: Event) => void;
  readonly onAsk?: (question: Question) => Promise<Answer>;
  readonly transfer?: readonly Transferable[];
}

export interface WireError {
  readonly code: ErrorCode;
  readonly message: string;
  readonly stack?: string;
  readonly hint?: string;
  readonly details?: ErrorOptions['details'];
}

export function toWireError(cause: unknown): WireError {
  const { code, message, hint, details, stack } = asKilnError(cause);
  return { code, message, hint, details, stack };
}

export function fromWireError({ code, message, hint, details, stack }: WireError): KilnError {
  const error = new KilnError(code, message, { hint, details });
  if (stack) error.stack = stack;
  return error;
}

/** What a task's caller and its thread tell each other, in shared memory. */
export type TaskState = Int32Array & { readonly __state: true };
/** Places in it: 1 when the caller has given up; when the thread has loaded what it needs; when it has begun, 2 when it is not to. */
export const taskState = { cancelled: 0, loaded: 1, begun: 2, size: 3 } as const;

export function newTaskState(): TaskState {
  return new Int32Array(new SharedArrayBuffer(4 * taskState.size)) as TaskState;
}

export type ToWorker =
  | { kind: 'run'; id: number; module: string; input: unknown; state: TaskState }
  | { kind: 'abort'; id: number }
  | { kind: 'answer'; id: number; question: number; answer: { output: unknown } | { error: WireError } }
  /** Make ready for tasks of this module. */
  | { kind: 'load'; module: string }
  /** Run this module's default export, about which nobody wants to hear. */
  | { kind: 'tidy'; module: string }
  /** End when the task that runs, if any, has ended. */
  | { kind: 'stop' };
export type RunMessage = Extract<ToWorker, { kind: 'run' }>;
export type FromWorker =
  | { id: number; kind: 'event'; event: unknown }
  | { id: number; kind: 'ask'; number: number; question: unknown }
  | { id: number; kind: 'done'; output: unknown }
  | { id: number; kind: 'failed'; error: WireError };

export interface WorkerOptions {
  readonly niceness: number;
}

interface Job {
  readonly message: RunMessage;
  readonly transfer: readonly Transferable[];
  readonly onEvent?: (event: unknown) => void;
  readonly onAsk?: (question: unknown) => Promise<unknown>;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: unknown) => void;
}

export interface ThreadPoolOptions {
  /** How many threads there are at most; by default one a core, and at least two. */
  readonly size?: number;
  /** How many of them stay when they have nothing to do; by default all. */
  readonly kept?: number;
  /**
   * Whether tasks that come when every thread has one begin beside another, instead of waiting. For tasks that mostly wait themselves: what
   * one of them computes keeps the others of its thread waiting, and they fail when it has to be ended.
   */
  readonly shared?: boolean;
  /** How far the threads stand back for others, as in setpriority(2); by default not at all. */
  readonly niceness?: number;
  /** Milliseconds that an aborted task gets to end by itself. */
  readonly patience?: number;
}

/** Milliseconds that an aborted task gets to notice it. Longer than any one call of the system should take. */
const defaultPatience = 5_000;
/** How many times as long it gets where others are in its thread: what they do may be what keeps it from noticing, and they would fail. */
const forbearance = 12;

/**
 * Threads for loops that are heavy on the CPU or on files. Threads start when first needed and stay; idle ones do not keep the process alive.
 * A thread whose task was aborted and does not end is ended with it, and another takes its place.
 */
export class ThreadPool implements AsyncDisposable {
  readonly #size: number;
  readonly #kept: number;
  readonly #shared: boolean;
  readonly #niceness: number;
  readonly #patience: number;
  readonly #idle: Worker[] = [];
  /** What each thread that is not idle has to do, by number. */
  readonly #running = new Map<Worker, Map<number, Job>>();
  readonly #queue: Job[] = [];
  /** Those that have run a task since they were last tidied up. */
  readonly #untidy = new Set<Worker>();
  #nextId = 1;
  #closed = false;

  constructor(options: ThreadPoolOptions = {}) {
    this.#size = options.size ?? Math.max(2, availableParallelism());
    this.#kept = options.kept ?? this.#size;
    this.#shared = options.shared ?? false;
    this.#niceness = options.niceness ?? 0;
    this.#patience = options.patience ?? defaultPatience;
  }

  get size(): number {
    return this.#size;
  }

  /**
   * Runs the default export of `module` with `input` in a thread. An aborted task that is running ends at its next `throwIfAborted`, or with
   * its thread. What a thread holds outside of itself when it is ended (files that it opened, mounts) stays.
   */
  run<Input, Output, Event = never, Question = never, Answer = never>(
    module: URL,
    input: Input,
    options: RunOptions<Event, Question, Answer> = {},
  ): Promise<Output> {
    const { signal } = options;
    if (this.#closed) return Promise.reject(new KilnError('unavailable', 'the thread pool is closed'));
    if (signal?.aborted) return Promise.reject(abortError(signal));
    const state = newTaskState();
    return new Promise<Output>((resolve, reject) => {
      const id = this.#nextId++;
      const stop = () => this.#abort(job, abortError(signal!));
      const settle = () => signal?.removeEventListener('abort', stop);
      const job: Job = {
        message: { kind: 'run', id, module: module.href, input, state },
        transfer: options.transfer ?? [],
        onEvent: options.onEvent as (event: unknown) => void,
        onAsk: options.onAsk as (question: unknown) => Promise<unknown>,
        resolve: (value) => {
          settle();
          resolve(value as Output);
        },
        reject: (error) => {
          settle();
          reject(error);
        },
      };
      signal?.addEventListener('abort', stop, { once: true });
      this.#queue.push(job);
      this.#dispatch();
    });
  }

  #abort(job: Job, reason: KilnError): void {
    const { id, state } = job.message;
    Atomics.store(state, taskState.cancelled, 1);
    const index = this.#queue.indexOf(job);
    if (index >= 0) {
      this.#queue.splice(index, 1);
      job.reject(reason);
      return;
    }
    const [worker] = [...this.#running].find(([, jobs]) => jobs.has(id)) ?? [];
    if (!worker) return;
    worker.postMessage({ kind: 'abort', id } satisfies ToWorker);
    let waited = 0;
    const end = () => {
      const jobs = this.#running.get(worker);
      if (!jobs?.has(id)) return;
      waited++;
      // A thread that is ended while it loads a native module takes the whole process with it.
      const isLoading = Atomics.load(state, taskState.loaded) === 0;
      if (isLoading || (jobs.size > 1 && waited < forbearance)) setTimeout(end, this.#patience).unref();
      else void worker.terminate();
    };
    setTimeout(end, this.#patience).unref();
  }

  /** Calls the default export of `module` in each idle thread that has run a task since the last time. Does not wait for it. */
  tidy(module: URL): void {
    for (const worker of this.#idle)
      if (this.#untidy.delete(worker))
        worker.postMessage({ kind: 'tidy', module: module.href } satisfies ToWorker);
  }

  #dispatch(): void {
    while (this.#queue.length > 0) {
      const worker = this.#choose();
      if (!worker) return;
      const job = this.#queue.shift()!;
      const jobs = this.#running.get(worker) ?? new Map<number, Job>();
      this.#running.set(worker, jobs.set(job.message.id, job));
      this.#untidy.add(worker);
      worker.ref();
      try {
        worker.postMessage(job.message, job.transfer as Transferable[]);
      } catch (error) {
        this.#finish(worker, job);
        job.reject(error);
      }
    }
  }

  #choose(): Worker | undefined {
    const idle = this.#idle.pop();
    if (idle) return idle;
    if (this.#running.size < this.#size) return this.#start();
    if (!this.#shared) return undefined;
    const [first, ...others] = this.#running;
    return others.reduce((least, each) => (each[1].size < least[1].size ? each : least), first!)[0];
  }

  #start(): Worker {
    const worker = startWorker({ niceness: this.#niceness });
    worker.on('message', (message: FromWorker) => {
      const job = this.#running.get(worker)?.get(message.id);
      if (!job) return;
      switch (message.kind) {
        case 'event':
          job.onEvent?.(message.event);
          return;
        case 'ask':
          void answer(worker, job, message.number, message.question);
          return;
        case 'done':
          this.#finish(worker, job);
          job.resolve(message.output);
          return;
        case 'failed':
          this.#finish(worker, job);
          job.reject(fromWireError(message.error));
      }
    });
    const lost = (error: unknown) => {
      const jobs = [...(this.#running.get(worker)?.values() ?? [])];
      this.#running.delete(worker);
      this.#untidy.delete(worker);
      const index = this.#idle.indexOf(worker);
      if (index >= 0) this.#idle.splice(index, 1);
      for (const job of jobs) {
        const aborted = Atomics.load(job.message.state, taskState.cancelled) !== 0;
        job.reject(aborted ? new KilnError('canceled', 'canceled', { cause: error }) : error);
      }
      if (!this.#closed) this.#dispatch();
    };
    worker.on('error', lost);
    worker.on('exit', () => lost(new KilnError('internal', 'a worker thread ended while it had work')));
    return worker;
  }

  #finish(worker: Worker, { message }: Job): void {
    const jobs = this.#running.get(worker);
    jobs?.delete(message.id);
    if (jobs && jobs.size > 0) return;
    this.#running.delete(worker);
    worker.unref();
    if (this.#idle.length + this.#running.size < this.#kept || this.#queue.length > 0) {
      this.#idle.push(worker);
      this.#dispatch();
      return;
    }
    this.#untidy.delete(worker);
    worker.postMessage({ kind: 'stop' } satisfies ToWorker);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    for (const job of this.#queue.splice(0))
      job.reject(new KilnError('canceled', 'the thread pool is closed'));
    for (const jobs of this.#running.values())
      for (const job of jobs.values())
        this.#abort(job, new KilnError('canceled', 'the thread pool is closed'));
    await Promise.all([...this.#idle.splice(0), ...this.#running.keys()].map(stopWorker));
  }
}

/** `megabytes`: how much its heap may hold before it is ended. */
export function startWorker(options: WorkerOptions, megabytes?: number): Worker {
  return new Worker(new URL('./thread-pool.worker.ts', import.meta.url), {
    stdin: false,
    workerData: options,
    ...(megabytes !== undefined && { resourceLimits: { maxOldGenerationSizeMb: megabytes } }),
  });
}

/** Sends what a task asked for back to it. An answer that cannot be sent is an error, too. */
export async function answer(
  worker: Worker,
  { message: { id, module }, onAsk }: Pick<Job, 'message' | 'onAsk'>,
  number: number,
  question: unknown,
): Promise<void> {
  const post = (given: Extract<ToWorker, { kind: 'answer' }>['answer']) =>
    worker.postMessage({ kind: 'answer', id, question: number, answer: given } satisfies ToWorker);
  try {
    if (!onAsk) throw new KilnError('internal', `nobody answers what ${module} asks`);
    post({ output: await onAsk(question) });
  } catch (error) {
    post({ error: toWireError(error) });
  }
}

/** Milliseconds that a thread gets to end by itself. */
const patience = 2_000;

/** A thread that is ended while it loads a native module takes the whole process with it, so it is asked first. */
export async function stopWorker(worker: Worker): Promise<void> {
  const exited = new Promise<void>((resolve) => worker.once('exit', () => resolve()));
  worker.ref();
  worker.postMessage({ kind: 'stop' } satisfies ToWorker);
  const timer = setTimeout(() => void worker.terminate(), patience);
  await exited;
  clearTimeout(timer);
}
