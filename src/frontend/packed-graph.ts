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
  /** Serialized `Part`s, in the graph's order. */
  readonly parts: readonly Uint8Array[];
  readonly result: Input | undefined;
  /** The files of the graph's source map; undefined for a graph without one. */
  readonly files: readonly SourceFile[] | undefined;
}

interface Part {
  readonly vertices: readonly PackedVertex[];
  /** The variables of processes that no earlier part has. Every step has all that were set before it, so each is sent once. */
  readonly variables: readonly string[];
}

interface PackedVertex extends OpVertex {
  /** The environment of a process, which its op lacks: positions in the variables of all parts. */
  readonly env: readonly number[] | undefined;
  /** Its places in the source map. */
  readonly places: Places | undefined;
}

type Places = NonNullable<ReturnType<SourceMap['locations']['get']>>;

/** A part is complete when it has this many vertices, or when their marshalled ops have this many bytes. */
const partVertices = 100;
const partBytes = 64 * 1024;

/**
 * Leaves out the definition and the marshalled ops, which can be made from the typed ops. Marshalled ops that were read are
 * kept: made again, they might not have their digests.
 */
export function packGraph({ vertices, result, source }: OpGraph): PackedGraph {
  const parts: Uint8Array[] = [];
  let part: PackedVertex[] = [];
  let variables: string[] = [];
  let bytes = 0;
  const complete = () => {
    if (part.length > 0) parts.push(serialize({ vertices: part, variables } satisfies Part));
    part = [];
    variables = [];
    bytes = 0;
  };
  const numbers = new Map<string, number>();
  const numberOf = (variable: string): number => {
    const known = numbers.get(variable);
    if (known !== undefined) return known;
    variables.push(variable);
    numbers.set(variable, numbers.size);
    return numbers.size - 1;
  };
  for (const { bytes: marshalled, ...vertex } of vertices.values()) {
    const { action } = vertex.op;
    part.push({
      ...vertex,
      op: withEnv(vertex.op, []),
      env: action.kind === 'exec' ? action.meta.env.map(numberOf) : undefined,
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
  const known: string[] = [];
  for (const part of parts) {
    const { vertices: packed, variables } = deserialize(part) as Part;
    for (const variable of variables) known.push(variable);
    for (const { places, env, ...vertex } of packed) {
      const op = withEnv(vertex.op, env?.map((number) => known[number]!) ?? []);
      vertices.set(vertex.digest, withOwnBytes({ ...vertex, op }));
      if (places) locations.set(vertex.digest, places);
    }
    yield;
  }
  return { vertices, result, ...(files && { source: { files, locations } }) };
}

/** The op with `env` as its environment; unchanged if it runs no process. */
function withEnv(op: Op, env: readonly string[]): Op {
  const { action } = op;
  return action.kind === 'exec' ? { ...op, action: { ...action, meta: { ...action.meta, env } } } : op;
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
