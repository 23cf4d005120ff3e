import type { Transferable } from 'node:worker_threads';

/** What a task module's default export gets besides its input. */
export interface TaskContext<Event = never, Question = never, Answer = never> {
  /** Throws `canceled` once the caller's signal has aborted. Cheap enough for every turn of a loop. */
  throwIfAborted(): void;
  /** Aborts when the caller's signal does. A task that never lets its event loop turn does not learn of it here. */
  readonly signal: AbortSignal;
  /** Tells the caller something. What is in `transfer` moves to the caller. */
  emit(event: Event, transfer?: readonly Transferable[]): void;
  /** Asks the caller. Resolves with what the caller returns, and rejects with what it throws. */
  ask(question: Question): Promise<Answer>;
}

/**
 * The default export of a `*.task.ts` module. It runs in a thread, which it may block. Inputs, results, events, questions and answers
 * are structured clones.
 */
export type Task<Input, Output, Event = never, Question = never, Answer = never> = (
  input: Input,
  context: TaskContext<Event, Question, Answer>,
) => Output | Promise<Output>;
