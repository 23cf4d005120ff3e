import { deserialize, serialize } from 'node:v8';
import { inTurns, type Steps } from '../base/async/in-turns.ts';
import type { Digest } from '../base/digest.ts';
import type { OpGraph, OpVertex } from '../llb/graph.ts';
import type { FileChange, Input, Op, SourceFile, SourceMap } from '../llb/op.ts';

/**
 * A graph on its way from one thread to another. The message arrives at once, however large the graph is; its vertices are
 * in parts that take a millisecond or two each to read, so that the event loop can turn between them.
 */
export interface PackedGraph {
  /** Serialized `PackedVertex`es, in the graph's order. */
  readonly parts: readonly Uint8Array[];
  readonly result: Input | undefined;
  /** The files of the graph's source map; undefined for a graph without one. */
  readonly files: readonly SourceFile[] | undefined;
}

interface PackedVertex extends OpVertex {
  /** Its places in the source map. */
  readonly places: Places | undefined;
}

type Places = NonNullable<ReturnType<SourceMap['locations']['get']>>;

/** A part is complete at either: so many vertices, or so many bytes of marshalled ops. */
const partVertices = 100;
const partBytes = 64 * 1024;

/**
 * Leaves out the definition and the marshalled ops, which whoever needs them makes of the typed ones. Those that were read
 * are kept: marshalled anew they could be others than their digests name.
 */
export function packGraph({ vertices, result, source }: OpGraph): PackedGraph {
  const parts: Uint8Array[] = [];
  let part: PackedVertex[] = [];
  let bytes = 0;
  const complete = () => {
    if (part.length > 0) parts.push(serialize(part));
    part = [];
    bytes = 0;
  };
  for (const { bytes: marshalled, ...vertex } of vertices.values()) {
    part.push({
      ...vertex,
      ...(vertex.read && { bytes: marshalled }),
      places: source?.locations.get(vertex.digest),
    });
    bytes += marshalled?.length ?? 0;
    if (part.length >= partVertices || bytes >= partBytes) complete();
  }
  complete();
  return { parts, result, files: source?.files };
}

/** Lets the event loop turn between the parts. */
export function unpackGraph(packed: PackedGraph): Promise<OpGraph> {
  return inTurns(unpack(packed));
}

function* unpack({ parts, result, files }: PackedGraph): Steps<OpGraph> {
  const vertices = new Map<Digest, OpVertex>();
  const locations = new Map<Digest, Places>();
  for (const part of parts) {
    for (const { places, ...vertex } of deserialize(part) as readonly PackedVertex[]) {
      vertices.set(vertex.digest, withOwnBytes(vertex));
      if (places) locations.set(vertex.digest, places);
    }
    yield;
  }
  return { vertices, result, ...(files && { source: { files, locations } }) };
}

/** The vertex with copies of bytes that are views of the part: they would keep all of it alive, and be sent to threads with it. */
function withOwnBytes(vertex: OpVertex): OpVertex {
  const { bytes, op } = vertex;
  return { ...vertex, op: withOwnData(op), ...(bytes && { bytes: Uint8Array.from(bytes) }) };
}

function withOwnData(op: Op): Op {
  const { action } = op;
  if (action.kind !== 'file' || !action.actions.some(({ change }) => change.kind === 'mkfile')) return op;
  const owned = (change: FileChange): FileChange =>
    change.kind === 'mkfile' ? { ...change, data: Uint8Array.from(change.data) } : change;
  return {
    ...op,
    action: {
      ...action,
      actions: action.actions.map((each) => ({ ...each, change: owned(each.change) })),
    },
  };
}
