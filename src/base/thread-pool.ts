import { availableParallelism } from 'node:os';
import { type Transferable, Worker } from 'node:worker_threads';
import { type ErrorCode, type ErrorOptions, KilnError } from './errors.ts';
import { abortError } from './lifetime.ts';

/** What a task module's default export gets besides its input. */
export interface TaskContext<Event = never> {
  /** Throws `canceled` once the caller's signal has aborted. Cheap enough for every turn of a loop. */
  throwIfAborted(): void;
  emit(event: Event, transfer?: readonly Transferable[]): void;
}

/** The default export of a `*.task.ts` module: runs in a thread, may block it. Inputs and results are structured clones. */
export type Task<Input, Output, Event = never> = (
  input: Input,
  context: TaskContext<Event>,
) => Output | Promise<Output>;

export interface RunOptions<Event> {
  readonly signal?: AbortSignal;
  readonly onEvent?: (event: Event) => void;
  readonly transfer?: readonly Transferable[];
}

export interface WireError {
  readonly code: ErrorCode;
  readonly message: string;
  readonly stack?: string;
  readonly hint?: string;
  readonly details?: ErrorOptions['details'];
}

export type ToWorker =
  | { kind: 'run'; id: number; module: string; input: unknown; cancelled: Int32Array }
  /** Run this module's default export, about which nobody wants to hear. */
  | { kind: 'tidy'; module: string }
  /** End when the task that runs, if any, has ended. */
  | { kind: 'stop' };
type RunMessage = Extract<ToWorker, { kind: 'run' }>;
export type FromWorker =
  | { id: number; kind: 'event'; event: unknown }
  | { id: number; kind: 'done'; output: unknown }
  | { id: number; kind: 'failed'; error: WireError };

export interface WorkerOptions {
  readonly niceness: number;
}

interface Job {
  readonly message: RunMessage;
  readonly transfer: readonly Transferable[];
  readonly onEvent?: (event: unknown) => void;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: unknown) => void;
}

/** Threads for loops that are heavy on the CPU or on files. Threads start when first needed and stay; idle ones do not keep the process alive. */
export class ThreadPool implements AsyncDisposable {
  readonly #size: number;
  readonly #niceness: number;
  readonly #idle: Worker[] = [];
  readonly #running = new Map<Worker, Job>();
  readonly #queue: Job[] = [];
  /** Those that have run a task since they were last tidied up. */
  readonly #untidy = new Set<Worker>();
  #nextId = 1;
  #closed = false;

  /**
   * `size`: how many tasks run at once; by default one a core, and at least two. `niceness`: how far the threads stand back for others,
   * as in setpriority(2); by default not at all.
   */
  constructor(options: { readonly size?: number; readonly niceness?: number } = {}) {
    this.#size = options.size ?? Math.max(2, availableParallelism());
    this.#niceness = options.niceness ?? 0;
  }

  get size(): number {
    return this.#size;
  }

  /** Runs the default export of `module` with `input` in a thread. An aborted task that is running ends at its next `throwIfAborted`. */
  run<Input, Output, Event = never>(
    module: URL,
    input: Input,
    options: RunOptions<Event> = {},
  ): Promise<Output> {
    const { signal } = options;
    if (this.#closed) return Promise.reject(new KilnError('unavailable', 'the thread pool is closed'));
    if (signal?.aborted) return Promise.reject(abortError(signal));
    const cancelled = new Int32Array(new SharedArrayBuffer(4));
    return new Promise<Output>((resolve, reject) => {
      const id = this.#nextId++;
      const stop = () => {
        Atomics.store(cancelled, 0, 1);
        const index = this.#queue.indexOf(job);
        if (index >= 0) {
          this.#queue.splice(index, 1);
          job.reject(abortError(signal!));
        }
      };
      const settle = () => signal?.removeEventListener('abort', stop);
      const job: Job = {
        message: { kind: 'run', id, module: module.href, input, cancelled },
        transfer: options.transfer ?? [],
        onEvent: options.onEvent as (event: unknown) => void,
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

  /** Calls the default export of `module` in each idle thread that has run a task since the last time. Does not wait for it. */
  tidy(module: URL): void {
    for (const worker of this.#idle)
      if (this.#untidy.delete(worker))
        worker.postMessage({ kind: 'tidy', module: module.href } satisfies ToWorker);
  }

  #dispatch(): void {
    while (this.#queue.length > 0) {
      let worker = this.#idle.pop();
      if (!worker) {
        if (this.#running.size >= this.#size) return;
        worker = this.#start();
      }
      const job = this.#queue.shift()!;
      this.#running.set(worker, job);
      this.#untidy.add(worker);
      worker.ref();
      try {
        worker.postMessage(job.message, job.transfer as Transferable[]);
      } catch (error) {
        this.#finish(worker);
        job.reject(error);
      }
    }
  }

  #start(): Worker {
    const worker = new Worker(new URL('./thread-pool.worker.ts', import.meta.url), {
      stdin: false,
      workerData: { niceness: this.#niceness } satisfies WorkerOptions,
    });
    worker.on('message', (message: FromWorker) => {
      const job = this.#running.get(worker);
      if (!job || job.message.id !== message.id) return;
      if (message.kind === 'event') {
        job.onEvent?.(message.event);
        return;
      }
      this.#finish(worker);
      if (message.kind === 'done') job.resolve(message.output);
      else {
        const { code, hint, details, stack } = message.error;
        const error = new KilnError(code, message.error.message, { hint, details });
        if (stack) error.stack = stack;
        job.reject(error);
      }
    });
    const lost = (error: unknown) => {
      const job = this.#running.get(worker);
      this.#running.delete(worker);
      this.#untidy.delete(worker);
      const index = this.#idle.indexOf(worker);
      if (index >= 0) this.#idle.splice(index, 1);
      job?.reject(error);
      if (!this.#closed) this.#dispatch();
    };
    worker.on('error', lost);
    worker.on('exit', () => lost(new KilnError('internal', 'a worker thread ended while it had work')));
    return worker;
  }

  #finish(worker: Worker): void {
    this.#running.delete(worker);
    this.#idle.push(worker);
    worker.unref();
    this.#dispatch();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    for (const job of this.#queue.splice(0))
      job.reject(new KilnError('canceled', 'the thread pool is closed'));
    for (const { message } of this.#running.values()) Atomics.store(message.cancelled, 0, 1);
    await Promise.all([...this.#idle.splice(0), ...this.#running.keys()].map(stopWorker));
  }
}

/** Milliseconds that a thread gets to end by itself. */
const patience = 2_000;

/** A thread that is ended while it loads a native module takes the whole process with it, so it is asked first. */
async function stopWorker(worker: Worker): Promise<void> {
  const exited = new Promise<void>((resolve) => worker.once('exit', () => resolve()));
  worker.ref();
  worker.postMessage({ kind: 'stop' } satisfies ToWorker);
  const timer = setTimeout(() => void worker.terminate(), patience);
  await exited;
  clearTimeout(timer);
}
