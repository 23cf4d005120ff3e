import { inTurns, type Steps } from '../base/async/in-turns.ts';
import { type Digest, digestOf } from '../base/digest.ts';
import type { OpGraph, OpVertex } from './graph.ts';
import type { Op, SourceOp } from './op.ts';
import { marshalOp } from './wire/marshal-op.ts';

/**
 * The graph with other sources in the place of some of its own, which are named by the digests of their vertices. A vertex
 * that depends on a replaced one gets a new digest and keeps what is said about it: its name, and where it was written.
 */
export async function replaceSources(
  graph: OpGraph,
  replacements: ReadonlyMap<Digest, SourceOp>,
): Promise<OpGraph> {
  return replacements.size === 0 ? graph : await inTurns(replace(graph, replacements));
}

function* replace(
  { vertices, result, source }: OpGraph,
  replacements: ReadonlyMap<Digest, SourceOp>,
): Steps<OpGraph> {
  const renamed = new Map<Digest, Digest>();
  const nameOf = (digest: Digest) => renamed.get(digest) ?? digest;
  const replaced = new Map<Digest, OpVertex>();
  for (const vertex of vertices.values()) {
    yield;
    const { digest, op, metadata } = vertex;
    const replacement = replacements.get(digest);
    if (!replacement && !op.inputs.some((input) => renamed.has(input.digest))) {
      replaced.set(digest, vertex);
      continue;
    }
    const changed = changedOp(op, nameOf, replacement);
    const bytes = marshalOp(changed);
    const name = digestOf(bytes);
    if (name !== digest) renamed.set(digest, name);
    replaced.set(name, { digest: name, op: changed, metadata, bytes });
  }
  return {
    vertices: replaced,
    result: result && { digest: nameOf(result.digest), index: result.index },
    ...(source && {
      source: {
        files: source.files,
        locations: new Map([...source.locations].map(([digest, places]) => [nameOf(digest), places])),
      },
    }),
  };
}

function changedOp(op: Op, nameOf: (digest: Digest) => Digest, replacement: SourceOp | undefined): Op {
  return {
    ...op,
    inputs: op.inputs.map(({ digest, index }) => ({ digest: nameOf(digest), index })),
    ...(replacement && { action: { kind: 'source', ...replacement } }),
  };
}
