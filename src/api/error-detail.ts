import { create, fromBinary, type JsonValue, toJson } from '@bufbuild/protobuf';
import { type Any, AnySchema } from '@bufbuild/protobuf/wkt';
import type { ErrorDetail, Position, Range } from '../base/errors.ts';
import { boundedText } from './bounded-text.ts';
import { SolveSchema } from './gen/errdefs_pb.js';
import { OpSchema } from './gen/ops_pb.js';

/**
 * Typed error details as BuildKit's programs exchange them: a `google.protobuf.Any` whose value is not protobuf but the JSON
 * of Go's `encoding/json`: original field names, zero values left out, bytes in base64, 64-bit numbers as numbers.
 */
const typeUrls = {
  vertex: 'github.com/moby/buildkit/errdefs.Vertex+json',
  source: 'github.com/moby/buildkit/errdefs.Source+json',
  exit: 'github.com/moby/buildkit/gatewayapi.ExitMessage+json',
  subrequest: 'github.com/moby/buildkit/errdefs.Subrequest+json',
  denied: 'github.com/moby/buildkit/policysession.DecisionResponse+json',
  /** Kiln's own. */
  converted: 'kiln.v1.ConvertedSource+json',
  capability: 'github.com/moby/buildkit/errdefs.FrontendCap+json',
  step: 'github.com/moby/buildkit/errdefs.Solve+json',
} as const;

/** Larger definitions are sent with only the lines around the ranges; the others are left empty, so that numbers hold. */
const maximumSourceBytes = 16 * 1024;
const linesAround = 6;
const longestLine = 1024;
/** Larger ones are left out: that of a file in a client's directory is far smaller. */
const maximumDefinitionBytes = 4 * 1024;

export function encodeErrorDetail(detail: ErrorDetail): Any {
  switch (detail.kind) {
    case 'vertex':
      return jsonAny(typeUrls.vertex, { digest: detail.digest });
    case 'source':
      return jsonAny(typeUrls.source, {
        info: {
          filename: detail.filename,
          data: base64(excerpt(detail.data, detail.ranges)),
          language: detail.language,
          definition: definitionJson(detail.definition),
        },
        ranges: detail.ranges,
      });
    case 'exit':
      return jsonAny(typeUrls.exit, { Code: detail.code, Signal: detail.signal, OOM: detail.oom });
    case 'subrequest':
      return jsonAny(typeUrls.subrequest, { name: detail.name });
    case 'denied':
      return jsonAny(typeUrls.denied, {
        action: 'DENY',
        denyMessages: detail.messages.map((message) => ({ message })),
      });
    case 'capability':
      return jsonAny(typeUrls.capability, { name: detail.id });
    case 'converted':
      return jsonAny(typeUrls.converted, { identifier: detail.identifier });
    case 'step':
      return jsonAny(typeUrls.step, stepJson(detail));
    case 'other':
      return create(AnySchema, { typeUrl: detail.typeUrl, value: Uint8Array.from(detail.value) });
  }
}

/**
 * Details in at most `limit` bytes, in their order: large ones are made smaller or left out, so that the small ones, which say
 * how it ended, are there.
 */
export function encodeErrorDetails(details: readonly ErrorDetail[], limit: number): Any[] {
  const forms = details.map((detail) => [detail, ...smallerForms(detail)].map(encodeErrorDetail));
  const kept = new Map<number, Any>();
  let rest = limit;
  for (const [index, [whole, ...smaller]] of [...forms.entries()].sort(
    ([, [a]], [, [b]]) => sizeOf(a!) - sizeOf(b!),
  )) {
    const fitting = [whole!, ...smaller].find((form) => sizeOf(form) <= rest);
    if (!fitting) continue;
    kept.set(index, fitting);
    rest -= sizeOf(fitting);
  }
  return [...kept.entries()].sort(([a], [b]) => a - b).map(([, form]) => form);
}

/** Of a place in a file, at least where it is; of a failed step, at least its trees. */
function smallerForms(detail: ErrorDetail): readonly ErrorDetail[] {
  if (detail.kind === 'step') {
    return [
      { ...detail, description: {} },
      { ...detail, description: {}, op: new Uint8Array() },
    ];
  }
  return detail.kind === 'source'
    ? [
        { ...detail, definition: undefined },
        { ...detail, definition: undefined, data: new Uint8Array() },
      ]
    : [];
}

/** With what a message around it adds. */
function sizeOf({ typeUrl, value }: Any): number {
  return Buffer.byteLength(typeUrl) + value.length + 16;
}

/** Never fails: what is not understood becomes a detail of kind `other`. */
export function decodeErrorDetail(any: Any): ErrorDetail {
  return decodeKnown(any) ?? { kind: 'other', typeUrl: any.typeUrl, value: any.value };
}

function decodeKnown(any: Any): ErrorDetail | undefined {
  const json = any.typeUrl.endsWith('+json') ? parseObject(any.value) : undefined;
  if (!json) return undefined;
  switch (any.typeUrl) {
    case typeUrls.vertex:
      return { kind: 'vertex', digest: text(json.digest) };
    case typeUrls.source: {
      const info = asObject(json.info);
      return {
        kind: 'source',
        filename: text(info.filename),
        language: text(info.language),
        data: Buffer.from(text(info.data), 'base64'),
        ranges: listOf(json.ranges).map(rangeOf),
        ...(info.definition !== undefined && {
          definition: {
            ops: listOf(asObject(info.definition).def).map((op) => Buffer.from(text(op), 'base64')),
          },
        }),
      };
    }
    case typeUrls.exit:
      return {
        kind: 'exit',
        code: number(json.Code),
        ...(json.Signal === undefined ? {} : { signal: text(json.Signal) }),
        ...(json.OOM === undefined ? {} : { oom: json.OOM === true }),
      };
    case typeUrls.subrequest:
      return { kind: 'subrequest', name: text(json.name) };
    case typeUrls.denied:
      return {
        kind: 'denied',
        messages: listOf(json.denyMessages).map((each) => text(asObject(each).message)),
      };
    case typeUrls.capability:
      return { kind: 'capability', id: text(json.name) };
    case typeUrls.converted:
      return { kind: 'converted', identifier: text(json.identifier) };
    default:
      return undefined;
  }
}

function jsonAny(typeUrl: string, value: unknown): Any {
  return create(AnySchema, { typeUrl, value: Buffer.from(JSON.stringify(value)) });
}

/** In protobuf's own JSON, which BuildKit has for this one. */
function stepJson({ inputIds, mountIds, op, description, subject }: StepDetail): JsonValue {
  const message = op.length === 0 ? undefined : fromBinary(OpSchema, op);
  // A definition in an op is kept encoded here, and nobody needs it to look into trees.
  if (message?.action.case === 'build') message.action.value.definition = undefined;
  const solve = create(SolveSchema, {
    inputIds: [...inputIds],
    mountIds: [...mountIds],
    op: message,
    description: { ...description },
    ...(subject && { subject: { case: subject.kind, value: { index: BigInt(subject.index) } } }),
  });
  return toJson(SolveSchema, solve, { enumAsInteger: true });
}

function definitionJson(
  definition: SourceDetail['definition'],
): { readonly def: readonly string[] } | undefined {
  const size = definition?.ops.reduce((total, op) => total + op.length, 0) ?? 0;
  return definition && size <= maximumDefinitionBytes ? { def: definition.ops.map(base64) } : undefined;
}

type SourceDetail = Extract<ErrorDetail, { readonly kind: 'source' }>;

type StepDetail = Extract<ErrorDetail, { readonly kind: 'step' }>;

type JsonObject = Readonly<Record<string, unknown>>;

function parseObject(bytes: Uint8Array): JsonObject | undefined {
  try {
    const value: unknown = JSON.parse(Buffer.from(bytes).toString());
    return typeof value === 'object' && value !== null ? (value as JsonObject) : undefined;
  } catch {
    return undefined;
  }
}

function asObject(value: unknown): JsonObject {
  return typeof value === 'object' && value !== null ? (value as JsonObject) : {};
}

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64');
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

function number(value: unknown): number {
  return typeof value === 'number' ? value : 0;
}

function rangeOf(value: unknown): Range {
  const { start, end } = asObject(value);
  return { start: positionOf(start), end: positionOf(end) };
}

function positionOf(value: unknown): Position {
  const { line, character } = asObject(value);
  return { line: number(line), character: number(character) };
}

/** Status details travel in trailers, see `error.ts`. */
function excerpt(data: Uint8Array, ranges: readonly Range[]): Uint8Array {
  if (data.length <= maximumSourceBytes) return data;
  const shown = new Set<number>();
  for (const { start, end } of ranges) {
    const last = Math.min(Math.max(start.line, end.line), start.line + 100);
    for (let line = start.line - linesAround; line <= last + linesAround; line++) shown.add(line);
  }
  const lines = Buffer.from(data).toString().split('\n');
  const kept = Buffer.from(
    lines.map((line, index) => (shown.has(index + 1) ? boundedText(line, longestLine) : '')).join('\n'),
  );
  return kept.length <= maximumSourceBytes * 2 ? kept : new Uint8Array();
}
