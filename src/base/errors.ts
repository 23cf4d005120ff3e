import { ownValue } from './own-value.ts';

/** The gRPC status names: every failure in Kiln is one of these. */
export type ErrorCode =
  | 'canceled'
  | 'unknown'
  | 'invalid_argument'
  | 'deadline_exceeded'
  | 'not_found'
  | 'already_exists'
  | 'permission_denied'
  | 'resource_exhausted'
  | 'failed_precondition'
  | 'aborted'
  | 'out_of_range'
  | 'unimplemented'
  | 'internal'
  | 'unavailable'
  | 'data_loss'
  | 'unauthenticated';

/** A position in a text: `line` counts from 1, `character` (UTF-16 units) from 0. */
export interface Position {
  readonly line: number;
  readonly character: number;
}

export interface Range {
  readonly start: Position;
  readonly end: Position;
}

/** What a program can read from an error besides its message; carried over the wire as status details. */
export type ErrorDetail =
  /** The vertex that failed. */
  | { readonly kind: 'vertex'; readonly digest: string }
  /** Where in a Dockerfile (or any definition) the failing thing was written. `data` is the whole file. */
  | {
      readonly kind: 'source';
      readonly filename: string;
      readonly language: string;
      readonly data: Uint8Array;
      readonly ranges: readonly Range[];
      /** The LLB that the file was read from: its marshalled ops. */
      readonly definition?: { readonly ops: readonly Uint8Array[] };
    }
  /** A process ended with this code; `signal` when a signal ended it, `oom` when the kernel killed it for memory. */
  | { readonly kind: 'exit'; readonly code: number; readonly signal?: string; readonly oom?: boolean }
  /** A frontend that does not know the requested subrequest. */
  | { readonly kind: 'subrequest'; readonly name: string }
  /** What a client's policy says about a source that it does not allow. */
  | { readonly kind: 'denied'; readonly messages: readonly string[] }
  /** A capability that the other side lacks. */
  | { readonly kind: 'capability'; readonly id: string }
  /** The source that a policy put in the place of one that cannot be used like it. */
  | { readonly kind: 'converted'; readonly identifier: string }
  /** What there is of a step that failed: see `FailedStep`. */
  | ({ readonly kind: 'step' } & FailedStep)
  /** A detail of a type that Kiln does not know, passed on unchanged. */
  | { readonly kind: 'other'; readonly typeUrl: string; readonly value: Uint8Array };

/** A failed step for whoever can look into its trees. Ids are those of trees as they were then, empty where there is none. */
export interface FailedStep {
  /** One for each mount of an exec, for each input of a file op; or the input whose content could not be told. */
  readonly inputIds: readonly string[];
  /** One for each mount of an exec, for each action of a file op. */
  readonly mountIds: readonly string[];
  /** The marshalled LLB op. */
  readonly op: Uint8Array;
  readonly description: Readonly<Record<string, string>>;
  /** The action of a file op that failed, or the input whose content could not be told. */
  readonly subject?: { readonly kind: 'file' | 'cache'; readonly index: number };
}

export interface ErrorOptions {
  readonly cause?: unknown;
  /** What the user can do about it, one sentence. */
  readonly hint?: string;
  readonly details?: readonly ErrorDetail[];
}

/** The one error type. Decisions are made on `code` and `details`, never on the message. */
export class KilnError extends Error {
  readonly code: ErrorCode;
  readonly hint: string | undefined;
  readonly details: readonly ErrorDetail[];

  constructor(code: ErrorCode, message: string, options: ErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'KilnError';
    this.code = code;
    this.hint = options.hint;
    this.details = options.details ?? [];
  }

  /** The same failure said with more context: `prefix: message`, same code, hint and details. */
  wrap(prefix: string, extra: readonly ErrorDetail[] = []): KilnError {
    return new KilnError(this.code, `${prefix}: ${this.message}`, {
      cause: this,
      hint: this.hint,
      details: [...this.details, ...extra],
    });
  }

  withDetail(detail: ErrorDetail): KilnError {
    const error = new KilnError(this.code, this.message, {
      cause: this.cause ?? this,
      hint: this.hint,
      details: [...this.details, detail],
    });
    error.stack = this.stack;
    return error;
  }
}

const errnoCodes: Readonly<Record<string, ErrorCode>> = {
  ENOENT: 'not_found',
  ENOTDIR: 'failed_precondition',
  EEXIST: 'already_exists',
  EACCES: 'permission_denied',
  EPERM: 'permission_denied',
  ENOSPC: 'resource_exhausted',
  EDQUOT: 'resource_exhausted',
  EMFILE: 'resource_exhausted',
  ENOMEM: 'resource_exhausted',
  ECONNREFUSED: 'unavailable',
  ECONNRESET: 'unavailable',
  EPIPE: 'unavailable',
  ENOTFOUND: 'unavailable',
  EAI_AGAIN: 'unavailable',
  ETIMEDOUT: 'unavailable',
  ABORT_ERR: 'canceled',
};

/** The `errno` name of a system error (`ENOENT`), or undefined. */
export function errnoOf(error: unknown): string | undefined {
  const code = (error as { code?: unknown } | undefined)?.code;
  return typeof code === 'string' && /^E[A-Z0-9]+$/.test(code) ? code : undefined;
}

/** Any thrown value as a KilnError; system errors keep their meaning in the code. */
export function asKilnError(error: unknown): KilnError {
  if (error instanceof KilnError) return error;
  // What went wrong first, not what went wrong when giving back what was held.
  if (error instanceof SuppressedError) return asKilnError(error.suppressed);
  if (error instanceof Error) {
    if (error.name === 'AbortError') return new KilnError('canceled', 'canceled', { cause: error });
    const code = (error as { code?: unknown }).code;
    const known = isDatabaseFull(error)
      ? 'resource_exhausted'
      : typeof code === 'string'
        ? ownValue(errnoCodes, code)
        : undefined;
    return new KilnError(known ?? 'unknown', error.message, {
      cause: error,
      hint: code === 'ENOSPC' || isDatabaseFull(error) ? 'free disk space, or run `kiln prune`' : undefined,
    });
  }
  return new KilnError('unknown', String(error));
}

/** Whether SQLite could not do what it was asked. */
export function isDatabaseError(error: unknown): boolean {
  return (error as { code?: unknown } | undefined)?.code === 'ERR_SQLITE_ERROR';
}

/** SQLite's SQLITE_FULL, in any of its extended forms. */
function isDatabaseFull(error: Error): boolean {
  const { errcode } = error as { errcode?: unknown };
  return isDatabaseError(error) && typeof errcode === 'number' && (errcode & 0xff) === 13;
}

export function isCanceled(error: unknown): boolean {
  return asKilnError(error).code === 'canceled';
}
