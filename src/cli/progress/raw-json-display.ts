import type { Range } from '../../base/errors.ts';
import type { SolveStatus } from '../../client/solve-status.ts';
import type { Display, Output } from './display.ts';

/**
 * One JSON object a line for every event, with the field names of the Go client's `SolveStatus`: times as RFC 3339,
 * bytes in base64, absent fields left out. `explanations` is Kiln's own; Go clients skip it.
 */
export class RawJsonDisplay implements Display {
  readonly #output: Output;

  constructor(output: Output) {
    this.#output = output;
  }

  update(status: SolveStatus): void {
    this.#output.write(`${JSON.stringify(solveStatusToGoJson(status))}\n`);
  }

  /** Only events are printed. */
  notice(): void {}

  finish(): void {}

  [Symbol.dispose](): void {}
}

export function solveStatusToGoJson(status: SolveStatus): object {
  return {
    vertexes: list(
      status.vertexes.map((vertex) => ({
        digest: vertex.digest,
        inputs: list(vertex.inputs),
        name: vertex.name || undefined,
        started: vertex.started,
        completed: vertex.completed,
        cached: vertex.cached || undefined,
        error: vertex.error,
        progressGroup: vertex.group && {
          id: vertex.group.id || undefined,
          name: vertex.group.name || undefined,
          weak: vertex.group.weak || undefined,
        },
      })),
    ),
    statuses: list(
      status.statuses.map((update) => ({
        id: update.id,
        vertex: update.vertex,
        name: update.name,
        total: update.total || undefined,
        current: update.current,
        timestamp: update.timestamp,
        started: update.started,
        completed: update.completed,
      })),
    ),
    logs: list(
      status.logs.map((log) => ({
        vertex: log.vertex,
        stream: log.stream || undefined,
        data: base64(log.data),
        timestamp: log.timestamp,
      })),
    ),
    warnings: list(
      status.warnings.map((warning) => ({
        vertex: warning.vertex,
        level: warning.level || undefined,
        short: base64(Buffer.from(warning.short)) || undefined,
        detail: list(warning.detail.map((line) => base64(Buffer.from(line)))),
        url: warning.url,
        sourceInfo: warning.source && {
          filename: warning.source.filename || undefined,
          data: base64(warning.source.data) || undefined,
          language: warning.source.language || undefined,
        },
        range: list(warning.ranges.map(rangeJson)),
      })),
    ),
    explanations: list(status.explanations),
  };
}

function rangeJson(range: Range): object {
  const position = ({ line, character }: Range['start']) => ({
    line: line || undefined,
    character: character || undefined,
  });
  return { start: position(range.start), end: position(range.end) };
}

function list<T>(items: readonly T[]): readonly T[] | undefined {
  return items.length > 0 ? items : undefined;
}

function base64(data: Uint8Array): string {
  return Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString('base64');
}
