import { type Transferable, Worker } from 'node:worker_threads';
import { KilnError } from '../errors.ts';
import type { ThreadJob } from './thread-job.ts';
import {
  type FromThread,
  fromWireError,
  type ThreadData,
  type ToThread,
  toWireError,
} from './thread-messages.ts';

export interface TaskThreadOptions extends ThreadData {
  /** How many megabytes its heap may hold before it is ended; by default as many as V8 thinks fit. */
  readonly megabytes?: number;
  /** Milliseconds that an aborted task gets to end by itself. */
  readonly patience: number;
}

/** What a thread tells its pool. */
export interface ThreadOwner {
  /** The thread may have room: a task has ended, of which its caller learns after this, or the thread got to one that was taken back. */
  freed(thread: TaskThread): void;
  /** A task that may move, and has no thread of its own, was not begun in time. It is not among the thread's jobs any more. */
  late(thread: TaskThread, job: ThreadJob): void;
  /** The thread has ended, and with it `jobs`. */
  lost(thread: TaskThread, jobs: readonly ThreadJob[], error: unknown): void;
}

/** Milliseconds in which a thread that lets its event loop turn begins a task. */
const beginning = 250;
/** How many times as long an aborted task gets if others, which cannot move, would fail with its thread: they may be what keeps it from noticing. */
const forbearance = 12;
/** Milliseconds that a thread gets to end by itself when its pool is closed. */
const farewell = 2_000;

/** A thread that runs tasks, each as soon as its event loop gets to it. It keeps the process alive only while it has a task. */
export class TaskThread {
  /** What it has to do, by number. */
  readonly jobs = new Map<number, ThreadJob>();
  /** Whether it did not begin a task in time, and was not heard since. */
  blocked = false;
  /** Whether it was given a task since it was last tidied up. */
  #isUntidy = false;
  readonly #worker: Worker;
  readonly #owner: ThreadOwner;
  readonly #patience: number;
  readonly #online: Promise<void>;
  readonly #exited: Promise<void>;

  constructor({ niceness, megabytes, patience }: TaskThreadOptions, owner: ThreadOwner) {
    this.#owner = owner;
    this.#patience = patience;
    const worker = new Worker(new URL('./task-thread.worker.ts', import.meta.url), {
      stdin: false,
      workerData: { niceness } satisfies ThreadData,
      ...(megabytes !== undefined && { resourceLimits: { maxOldGenerationSizeMb: megabytes } }),
    });
    this.#worker = worker;
    this.#online = new Promise((resolve) => worker.once('online', resolve));
    this.#exited = new Promise((resolve) => worker.once('exit', () => resolve()));
    worker.unref();
    worker.on('message', (message: FromThread) => this.#heard(message));
    worker.on('error', (error) => this.#lost(error));
    worker.on('exit', () => this.#lost(new KilnError('internal', 'a worker thread ended while it had work')));
  }

  /** Runs a task. What cannot be sent to the thread rejects the job. */
  give(job: ThreadJob): void {
    this.jobs.set(job.id, job);
    this.#isUntidy = true;
    this.#worker.ref();
    try {
      this.#worker.postMessage(job.message(), job.transfer as Transferable[]);
    } catch (error) {
      this.#finish(job);
      job.reject(error);
      return;
    }
    if (job.canMove && !job.alone) void this.#online.then(() => this.#watch(job));
  }

  /** Withdraws a task that is to move if the thread does not begin it. */
  #watch(job: ThreadJob): void {
    const { state } = job;
    setTimeout(() => {
      if (this.jobs.get(job.id) !== job || job.state !== state || !state.takeBack()) return;
      this.blocked = true;
      this.#remove(job);
      this.#owner.late(this, job);
    }, beginning).unref();
  }

  /** Ends one of its jobs, which is cancelled already. If the task does not notice it, the thread is ended. */
  abort(job: ThreadJob, reason: KilnError): void {
    if (job.state.takeBack()) {
      this.#finish(job);
      job.reject(reason);
      return;
    }
    this.#post({ kind: 'abort', id: job.id });
    let waited = 0;
    const end = () => {
      if (this.jobs.get(job.id) !== job) return;
      waited++;
      const others = [...this.jobs.values()].filter((other) => other !== job);
      const wouldFail = others.some((other) => !other.canMove);
      // A thread that is ended while it loads a native module takes the whole process with it.
      const isLoading = !job.state.hasLoaded;
      if (isLoading || (wouldFail && waited < forbearance)) setTimeout(end, this.#patience).unref();
      else void this.#worker.terminate();
    };
    setTimeout(end, this.#patience).unref();
  }

  /** Loads what tasks of `module` need. Does not wait. */
  load(module: URL): void {
    this.#post({ kind: 'load', module: module.href });
  }

  /** Calls the default export of `module`, if the thread is idle and has had a task since the last time. Does not wait. */
  tidy(module: URL): void {
    if (!this.#isUntidy || this.jobs.size > 0) return;
    this.#isUntidy = false;
    this.#post({ kind: 'tidy', module: module.href });
  }

  /** Ends the thread when it has nothing more to do. */
  stop(): void {
    this.#post({ kind: 'stop' });
  }

  /** Ends the thread, if need be by force, and waits for that. It is asked first: see `abort` for native modules. */
  async close(): Promise<void> {
    this.#worker.ref();
    this.stop();
    const timer = setTimeout(() => void this.#worker.terminate(), farewell);
    await this.#exited;
    clearTimeout(timer);
  }

  #heard(message: FromThread): void {
    this.blocked = false;
    if (message.kind === 'skipped') {
      this.#owner.freed(this);
      return;
    }
    const job = this.jobs.get(message.id);
    if (!job) return;
    switch (message.kind) {
      case 'event':
        job.tell(message.event);
        return;
      case 'ask':
        void this.#answer(job, message.number, message.question);
        return;
      case 'done':
        this.#finish(job);
        job.resolve(message.output);
        return;
      case 'failed':
        this.#finish(job);
        job.reject(fromWireError(message.error));
    }
  }

  /** Sends the answer to a question back to its task. An answer that cannot be sent is an error, too. */
  async #answer(job: ThreadJob, question: number, asked: unknown): Promise<void> {
    const post = (answer: Extract<ToThread, { kind: 'answer' }>['answer']) =>
      this.#post({ kind: 'answer', id: job.id, question, answer });
    try {
      post({ output: await job.answer(asked) });
    } catch (error) {
      post({ error: toWireError(error) });
    }
  }

  #finish(job: ThreadJob): void {
    this.#remove(job);
    this.#owner.freed(this);
  }

  #remove(job: ThreadJob): void {
    this.jobs.delete(job.id);
    if (this.jobs.size === 0) this.#worker.unref();
  }

  #lost(error: unknown): void {
    const jobs = [...this.jobs.values()];
    this.jobs.clear();
    this.#owner.lost(this, jobs, error);
  }

  #post(message: ToThread): void {
    this.#worker.postMessage(message);
  }
}
