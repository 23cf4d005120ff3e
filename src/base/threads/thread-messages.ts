import { asKilnError, type ErrorCode, type ErrorOptions, KilnError } from '../errors.ts';

/** What a thread is started with. */
export interface ThreadData {
  readonly niceness: number;
}

export type ToThread =
  /** Run a task. `state` are the cells of a `TaskState`. */
  | { kind: 'run'; id: number; module: string; input: unknown; state: Int32Array<SharedArrayBuffer> }
  | { kind: 'abort'; id: number }
  | { kind: 'answer'; id: number; question: number; answer: { output: unknown } | { error: WireError } }
  /** Make ready for tasks of this module. */
  | { kind: 'load'; module: string }
  /** Call this module's default export; nobody waits for the outcome. */
  | { kind: 'tidy'; module: string }
  /** End when all tasks have ended. */
  | { kind: 'stop' };

export type FromThread =
  | { id: number; kind: 'event'; event: unknown }
  | { id: number; kind: 'ask'; number: number; question: unknown }
  | { id: number; kind: 'done'; output: unknown }
  | { id: number; kind: 'failed'; error: WireError }
  /** The thread got to a task that its caller had taken back. */
  | { id: number; kind: 'skipped' };

/** A `KilnError` without its class, which a structured clone would lose. */
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
