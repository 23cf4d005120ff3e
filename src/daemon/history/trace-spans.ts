import { createHash } from 'node:crypto';
import { type Timestamp, timestampDate } from '@bufbuild/protobuf/wkt';
import type { BuildHistoryRecord, StatusResponse } from '../../api/gen/control_pb.js';

/** A span of OpenTelemetry as Go's SDK writes it to JSON, which is what BuildKit's clients read. */
export interface TraceSpan {
  readonly Name: string;
  readonly SpanContext: SpanContext;
  readonly Parent: SpanContext;
  readonly SpanKind: number;
  readonly StartTime: string;
  readonly EndTime: string;
  readonly Attributes: readonly SpanAttribute[];
  readonly Events: null;
  readonly Links: null;
  readonly Status: { readonly Code: 'Unset' | 'Error'; readonly Description: string };
  readonly DroppedAttributes: 0;
  readonly DroppedEvents: 0;
  readonly DroppedLinks: 0;
  readonly ChildSpanCount: number;
  readonly Resource: readonly SpanAttribute[];
  readonly InstrumentationLibrary: {
    readonly Name: string;
    readonly Version: string;
    readonly SchemaURL: string;
  };
}

interface SpanContext {
  readonly TraceID: string;
  readonly SpanID: string;
  readonly TraceFlags: string;
  readonly TraceState: string;
  readonly Remote: false;
}

interface SpanAttribute {
  readonly Key: string;
  readonly Value: { readonly Type: 'STRING' | 'BOOL'; readonly Value: string | boolean };
}

/** What took time: a step, or a part of one. */
interface Work {
  readonly name: string;
  /** Unique in the build. */
  readonly key: string;
  readonly parent: string;
  readonly attributes: readonly SpanAttribute[];
  start: Date;
  end: Date;
  error: string;
}

const internalKind = 1;
const traceIdDigits = 32;
const spanIdDigits = 16;
const root = 'build';

/** The spans of a past build: the build, below it its steps, and below these their parts (a download, an extracted layer). */
export async function* traceSpans(
  { ref, createdAt, completedAt, error }: BuildHistoryRecord,
  progress: AsyncIterable<StatusResponse>,
): AsyncGenerator<TraceSpan> {
  const works = new Map<string, Work>();
  const begun = (
    key: string,
    started: Timestamp,
    make: () => Pick<Work, 'name' | 'parent' | 'attributes'>,
  ) => {
    const start = timestampDate(started);
    const work = works.get(key) ?? { ...make(), key, start, end: start, error: '' };
    works.set(key, work);
    if (start < work.start) work.start = start;
    return work;
  };
  const ended = (work: Work, completed: Timestamp | undefined) => {
    const end = completed && timestampDate(completed);
    if (end && end > work.end) work.end = end;
  };
  for await (const { vertexes, statuses } of progress) {
    for (const vertex of vertexes) {
      if (!vertex.started) continue;
      const work = begun(vertex.digest, vertex.started, () => ({
        name: vertex.name,
        parent: root,
        attributes: [
          text('vertex', vertex.digest),
          { Key: 'cached', Value: { Type: 'BOOL', Value: vertex.cached } },
        ],
      }));
      ended(work, vertex.completed);
      if (vertex.error !== '') work.error = vertex.error;
    }
    for (const status of statuses) {
      if (!status.started || !works.has(status.vertex)) continue;
      const key = JSON.stringify([status.vertex, status.id]);
      ended(
        begun(key, status.started, () => ({ name: status.id, parent: status.vertex, attributes: [] })),
        status.completed,
      );
    }
  }
  const children = new Map<string, number>();
  for (const { parent } of works.values()) children.set(parent, (children.get(parent) ?? 0) + 1);
  const traceId = idOf(ref, traceIdDigits);
  const context = (key: string | undefined): SpanContext => ({
    TraceID: key === undefined ? '0'.repeat(traceIdDigits) : traceId,
    SpanID: key === undefined ? '0'.repeat(spanIdDigits) : idOf(JSON.stringify([ref, key]), spanIdDigits),
    TraceFlags: key === undefined ? '00' : '01',
    TraceState: '',
    Remote: false,
  });
  const span = (work: Omit<Work, 'parent'>, parent: string | undefined): TraceSpan => ({
    Name: work.name,
    SpanContext: context(work.key),
    Parent: context(parent),
    SpanKind: internalKind,
    StartTime: work.start.toISOString(),
    EndTime: work.end.toISOString(),
    Attributes: work.attributes,
    Events: null,
    Links: null,
    Status: { Code: work.error === '' ? 'Unset' : 'Error', Description: work.error },
    DroppedAttributes: 0,
    DroppedEvents: 0,
    DroppedLinks: 0,
    ChildSpanCount: children.get(work.key) ?? 0,
    Resource: [text('service.name', 'kilnd')],
    InstrumentationLibrary: { Name: 'kiln', Version: '', SchemaURL: '' },
  });
  const start = timestampDate(createdAt!);
  const end = completedAt ? timestampDate(completedAt) : start;
  const attributes = [text('ref', ref)];
  yield span({ name: root, key: root, start, end, attributes, error: error?.message ?? '' }, undefined);
  for (const work of works.values()) yield span(work, work.parent);
}

function text(key: string, value: string): SpanAttribute {
  return { Key: key, Value: { Type: 'STRING', Value: value } };
}

function idOf(name: string, digits: number): string {
  return createHash('sha256').update(name).digest('hex').slice(0, digits);
}
