import { type Timestamp, timestampDate } from '@bufbuild/protobuf/wkt';
import type { CacheMissCause, StatusResponse } from '../api/gen/control_pb.js';
import type { Range as WireRange } from '../api/gen/ops_pb.js';
import type { Range } from '../base/errors.ts';
import type { MissCause, SolveStatus } from './solve-status.ts';

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
