import type { Transferable } from 'node:worker_threads';
import { KilnError } from '../errors.ts';
import { TaskState } from './task-state.ts';
import type { ToThread } from './thread-messages.ts';

export interface RunOptions<Event, Question = never, Answer = never> {
  readonly signal?: AbortSignal;
  readonly onEvent?: (event: Event) => void;
  readonly onAsk?: (question: Question) => Promise<Answer>;
  /** Objects of the input that move to the thread instead of being copied. */
  readonly transfer?: readonly Transferable[];
  /**
   * If given, the task may move to another thread: before it has begun, because its thread is busy; and after that, because its thread
   * was ended, possibly for the sake of another task. Then it begins anew, and this is called first: all that the task told and asked so
   * far, it will tell and ask again. A task without `onRestart` fails when its thread is ended. Not possible together with `transfer`.
   */
  readonly onRestart?: () => void;
}

let lastId = 0;

/** A task that was given to a pool, until it has ended. */
export class ThreadJob {
  readonly id = ++lastId;
  /** Whether it needs a thread of its own, since it was in one that was ended and may have been the reason. */
  alone = false;
  #state = new TaskState();
  readonly #module: URL;
  readonly #input: unknown;
  readonly #options: RunOptions<unknown, unknown, unknown>;
  readonly #result = Promise.withResolvers<unknown>();

  constructor(module: URL, input: unknown, options: RunOptions<unknown, unknown, unknown>) {
    this.#module = module;
    this.#input = input;
    this.#options = options;
  }

  get result(): Promise<unknown> {
    return this.#result.promise;
  }

  get state(): TaskState {
    return this.#state;
  }

  get transfer(): readonly Transferable[] {
    return this.#options.transfer ?? [];
  }

  get canMove(): boolean {
    return this.#options.onRestart !== undefined;
  }

  /** Returns what tells a thread to run it. */
  message(): ToThread {
    const { href } = this.#module;
    return { kind: 'run', id: this.id, module: href, input: this.#input, state: this.#state.cells };
  }

  /** Prepares it for another thread, after it was taken back from one. */
  move(): void {
    this.#state = new TaskState();
  }

  /** Prepares it for a thread of its own, after one in which it had begun was ended. */
  restart(): void {
    this.alone = true;
    this.move();
    this.#options.onRestart?.();
  }

  tell(event: unknown): void {
    this.#options.onEvent?.(event);
  }

  async answer(question: unknown): Promise<unknown> {
    const { onAsk } = this.#options;
    if (!onAsk) throw new KilnError('internal', `nobody answers what ${this.#module.href} asks`);
    return await onAsk(question);
  }

  resolve(output: unknown): void {
    this.#result.resolve(output);
  }

  reject(error: unknown): void {
    this.#result.reject(error);
  }
}
