import { atOnce, inTurns, type Steps } from '../../base/async/in-turns.ts';
import { type Digest, digestOf } from '../../base/digest.ts';
import { emptyMetadata, type OpGraph, type OpVertex } from '../graph.ts';
import type { Definition, OpMetadata } from '../op.ts';
import { capabilities } from '../vertex-capabilities.ts';
import { encodeSteps } from './definition-wire.ts';
import { marshalOp, marshalTerminal } from './marshal-op.ts';

/** The graph as a definition: the one that it was read from, or its ops marshalled. The empty tree has no ops. */
export function marshalGraph(graph: OpGraph): Definition {
  return atOnce(marshal(graph));
}

/** The message of the graph's definition. Lets the event loop turn meanwhile. */
export function encodeGraph(graph: OpGraph): Promise<Uint8Array> {
  return inTurns(encode(graph));
}

function* encode(graph: OpGraph): Steps<Uint8Array> {
  return yield* encodeSteps(yield* marshal(graph));
}

function* marshal({ definition, vertices, result, source }: OpGraph): Steps<Definition> {
  if (definition) return definition;
  if (!result) return { ops: [], metadata: new Map() };
  const metadata = new Map<Digest, OpMetadata>();
  const ops: Uint8Array[] = [];
  for (const vertex of vertices.values()) {
    yield;
    ops.push(vertex.bytes ?? marshalOp(vertex.op));
    if (vertex.metadata !== emptyMetadata) metadata.set(vertex.digest, vertex.metadata);
  }
  const terminal = marshalTerminal(result);
  metadata.set(digestOf(terminal), terminalMetadata(vertices.values()));
  return { ops: [...ops, terminal], metadata, ...(source && { source }) };
}

/** The terminal op names what the graph as a whole needs of a daemon. */
function terminalMetadata(vertices: Iterable<OpVertex>): OpMetadata {
  const caps: Record<string, boolean> = { [capabilities.constraints]: true, [capabilities.platform]: true };
  for (const { metadata } of vertices) {
    if (metadata.ignoreCache) caps[capabilities.ignoreCache] = true;
    if (Object.keys(metadata.description).length > 0) caps[capabilities.description] = true;
    if (metadata.exportCache !== undefined) caps[capabilities.exportCache] = true;
  }
  return { ignoreCache: false, description: {}, caps };
}
