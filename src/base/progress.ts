import type { Digest } from './digest.ts';
import type { Range } from './errors.ts';

/** Steps that a display folds into one line. */
export interface ProgressGroup {
  readonly id: string;
  readonly name: string;
  readonly weak: boolean;
}

export interface VertexEvent {
  readonly digest: Digest;
  readonly inputs: readonly Digest[];
  readonly name: string;
  readonly cached?: boolean;
  readonly started?: Date;
  readonly completed?: Date;
  readonly error?: string;
  readonly group?: ProgressGroup;
}

/** One line of work inside a vertex (a layer being pulled, files being transferred). Units are bytes unless `name` says otherwise. */
export interface StatusEvent {
  readonly id: string;
  readonly name?: string;
  readonly current?: number;
  readonly total?: number;
  readonly started?: Date;
  readonly completed?: Date;
}

export interface WarningEvent {
  /** 1 is the most important. */
  readonly level: number;
  readonly short: string;
  readonly detail?: readonly string[];
  readonly url?: string;
  readonly source?: { readonly filename: string; readonly language?: string; readonly data: Uint8Array };
  readonly ranges?: readonly Range[];
}

/** Where the work on one vertex reports to. Calls never fail and never wait. */
export interface ProgressWriter {
  status(event: StatusEvent): void;
  /** `stream` is 1 for standard output, 2 for standard error. */
  log(stream: 1 | 2, data: Uint8Array): void;
  warn(event: WarningEvent): void;
}

/** What a caller passes to work that it waits for. */
export interface WaitContext {
  /** Ends the wait. Work that others wait for, too, goes on. */
  readonly signal?: AbortSignal;
  readonly progress?: ProgressWriter;
}

export const silentProgress: ProgressWriter = { status() {}, log() {}, warn() {} };

/** Shows `work` as one status line that starts now and completes when the work does (also when it fails). */
export async function withStatus<T>(
  progress: ProgressWriter,
  id: string,
  work: () => Promise<T>,
): Promise<T> {
  const started = new Date();
  progress.status({ id, started });
  try {
    return await work();
  } finally {
    progress.status({ id, started, completed: new Date() });
  }
}
