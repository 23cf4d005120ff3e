import type { Range } from '../base/errors.ts';
import type { ProgressGroup } from '../base/progress.ts';

/** A step of the build, said again whenever something about it changes. `digest` identifies it within the build. */
export interface VertexUpdate {
  readonly digest: string;
  readonly inputs: readonly string[];
  readonly name: string;
  readonly cached: boolean;
  readonly started?: Date;
  readonly completed?: Date;
  readonly error?: string;
  readonly group?: ProgressGroup;
}

/** One piece of work inside a vertex. `current` and `total` are bytes; `total` is 0 when it is not known. */
export interface StatusUpdate {
  readonly vertex: string;
  readonly id: string;
  readonly name?: string;
  readonly current: number;
  readonly total: number;
  readonly timestamp: Date;
  readonly started?: Date;
  readonly completed?: Date;
}

/** Output of a vertex, in pieces that need not end where lines or characters do. `stream` is 1 for output, 2 for errors. */
export interface LogUpdate {
  readonly vertex: string;
  readonly stream: number;
  readonly data: Uint8Array;
  readonly timestamp: Date;
}

export interface WarningUpdate {
  readonly vertex: string;
  /** 1 is the most important. */
  readonly level: number;
  readonly short: string;
  readonly detail: readonly string[];
  readonly url?: string;
  readonly source?: { readonly filename: string; readonly language: string; readonly data: Uint8Array };
  readonly ranges: readonly Range[];
}

/** Why a step that ran was not cached. Only kiln's own daemon says so. */
export interface ExplanationUpdate {
  readonly vertex: string;
  /** In words that follow "not cached:". */
  readonly text: string;
  readonly cause?: MissCause;
}

/** The first difference to a step of an earlier build; see `CacheMissCause` in `control.proto`. */
export interface MissCause {
  readonly kind: string;
  readonly name?: string;
  readonly change?: string;
  readonly before?: string;
  readonly after?: string;
  readonly from?: string;
  readonly more?: number;
  readonly step?: string;
  readonly root?: MissCause;
}

/** What happened in a build since the last one of these. */
export interface SolveStatus {
  readonly vertexes: readonly VertexUpdate[];
  readonly statuses: readonly StatusUpdate[];
  readonly logs: readonly LogUpdate[];
  readonly warnings: readonly WarningUpdate[];
  readonly explanations: readonly ExplanationUpdate[];
}
