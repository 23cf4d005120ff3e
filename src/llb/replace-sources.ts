import { type Digest, digestOf } from '../base/digest.ts';
import { unmarshalDefinition } from './graph.ts';
import { marshalOp, marshalTerminal } from './marshal.ts';
import type { Definition, Op, OpMetadata, SourceOp } from './op.ts';

/**
 * The definition with other sources in the place of some of its own, by the digests of their vertices. A vertex that has a
 * replaced one below it gets a new digest; what was said about it (its name, where it was written) stays said about it.
 */
export function replaceSources(
  definition: Definition,
  replacements: ReadonlyMap<Digest, SourceOp>,
): Definition {
  const { vertices, result } = unmarshalDefinition(definition);
  if (!result || replacements.size === 0) return definition;
  const renamed = new Map<Digest, Digest>();
  const nameOf = (digest: Digest) => renamed.get(digest) ?? digest;
  const ops = new Map<Digest, Uint8Array>();
  const metadata = new Map<Digest, OpMetadata>();
  for (const { digest, op, bytes, metadata: own } of vertices.values()) {
    const replacement = replacements.get(digest);
    const changed = replacement || op.inputs.some((input) => renamed.has(input.digest));
    const marshalled = changed ? marshalOp(changedOp(op, nameOf, replacement)) : bytes;
    const name = changed ? digestOf(marshalled) : digest;
    if (name !== digest) renamed.set(digest, name);
    ops.set(name, marshalled);
    if (definition.metadata.has(digest)) metadata.set(name, own);
  }
  const terminal = marshalTerminal({ digest: nameOf(result.digest), index: result.index });
  const { source } = definition;
  return {
    ops: [...ops.values(), terminal],
    metadata,
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
