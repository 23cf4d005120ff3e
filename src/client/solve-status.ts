import { type Timestamp, timestampDate } from '@bufbuild/protobuf/wkt';
import type { CacheMissCause, StatusResponse } from '../api/gen/control_pb.js';
import type { Range as WireRange } from '../api/gen/ops_pb.js';
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

export function solveStatusFromWire(response: StatusResponse): SolveStatus {
  const decoder = new TextDecoder();
  return {
    vertexes: response.vertexes.map((vertex) => ({
      digest: vertex.digest,
      inputs: vertex.inputs,
      name: vertex.name,
      cached: vertex.cached,
      started: date(vertex.started),
      completed: date(vertex.completed),
      error: vertex.error || undefined,
      group: vertex.progressGroup && {
        id: vertex.progressGroup.id,
        name: vertex.progressGroup.name,
        weak: vertex.progressGroup.weak,
      },
    })),
    statuses: response.statuses.map((status) => ({
      vertex: status.vertex,
      id: status.id,
      name: status.name || undefined,
      current: Number(status.current),
      total: Number(status.total),
      timestamp: date(status.timestamp) ?? new Date(0),
      started: date(status.started),
      completed: date(status.completed),
    })),
    logs: response.logs.map((log) => ({
      vertex: log.vertex,
      stream: Number(log.stream),
      data: log.data,
      timestamp: date(log.timestamp) ?? new Date(0),
    })),
    warnings: response.warnings.map((warning) => ({
      vertex: warning.vertex,
      level: Number(warning.level),
      short: decoder.decode(warning.short),
      detail: warning.detail.map((line) => decoder.decode(line)),
      url: warning.url || undefined,
      source: warning.info && {
        filename: warning.info.filename,
        language: warning.info.language,
        data: warning.info.data,
      },
      ranges: warning.ranges.map(rangeFromWire),
    })),
    explanations: response.explanations.map(({ vertex, text, cause }) => ({
      vertex,
      text,
      cause: cause && causeFromWire(cause),
    })),
  };
}

function causeFromWire(cause: CacheMissCause): MissCause {
  return {
    kind: cause.kind,
    name: cause.name || undefined,
    change: cause.change || undefined,
    before: cause.before,
    after: cause.after,
    from: cause.from || undefined,
    more: cause.more || undefined,
    step: cause.step || undefined,
    root: cause.root && causeFromWire(cause.root),
  };
}

function date(timestamp: Timestamp | undefined): Date | undefined {
  return timestamp && timestampDate(timestamp);
}

function rangeFromWire(range: WireRange): Range {
  const position = (of: WireRange['start']) => ({ line: of?.line ?? 0, character: of?.character ?? 0 });
  return { start: position(range.start), end: position(range.end) };
}
