import { atOnce, inTurns, type Steps } from '../../base/async/in-turns.ts';
import { type Digest, digestOf } from '../../base/digest.ts';
import { KilnError } from '../../base/errors.ts';
import { invalidVertex } from '../check-op.ts';
import { emptyMetadata, type OpGraph, type OpVertex } from '../graph.ts';
import type { Definition, Input } from '../op.ts';
import { unmarshalOp } from './unmarshal-op.ts';

/**
 * Reads a definition into typed ops. Its last op has to be the terminal op, whose single input is the result. Ops that
 * the result does not need are left out. A cycle cannot be written, since inputs are named by digest.
 * Throws `invalid_argument` naming the vertex that is wrong or missing.
 */
export function unmarshalDefinition(definition: Definition): OpGraph {
  return atOnce(unmarshal(definition));
}

/** The same for definitions that may be large: lets the event loop turn meanwhile. */
export function unmarshalInTurns(definition: Definition): Promise<OpGraph> {
  return inTurns(unmarshal(definition));
}

function* unmarshal(definition: Definition): Steps<OpGraph> {
  if (definition.ops.length === 0) return { vertices: new Map(), result: undefined, definition };
  const all = new Map<Digest, Uint8Array>();
  for (const bytes of definition.ops) {
    all.set(digestOf(bytes), bytes);
    yield;
  }
  const result = terminalInput(definition.ops.at(-1)!);
  const vertices = new Map<Digest, OpVertex>();
  const open = new Map<Digest, OpVertex>();
  const stack: { readonly digest: Digest; readonly neededBy?: Digest }[] = [{ digest: result.digest }];
  while (stack.length > 0) {
    yield;
    const { digest, neededBy } = stack.at(-1)!;
    const entered = open.get(digest);
    if (entered || vertices.has(digest)) {
      stack.pop();
      if (entered) vertices.set(digest, entered);
      open.delete(digest);
      continue;
    }
    const bytes = all.get(digest);
    if (!bytes) throw missing(digest, neededBy);
    const unmarshalled = unmarshalOp(bytes, digest);
    if (unmarshalled.kind === 'terminal') {
      throw invalidVertex(digest, 'it has no action, or one that is not known');
    }
    const { op } = unmarshalled;
    const metadata = definition.metadata.get(digest) ?? emptyMetadata;
    open.set(digest, { digest, op, bytes, read: true, metadata });
    for (const input of op.inputs.toReversed()) {
      if (!vertices.has(input.digest)) stack.push({ digest: input.digest, neededBy: digest });
    }
  }
  return { vertices, result, definition, ...(definition.source && { source: definition.source }) };
}

/** What a definition is of; undefined for the empty tree. Throws `invalid_argument` for a last op that names no result. */
export function definitionResult({ ops }: Definition): Input | undefined {
  const last = ops.at(-1);
  return last && terminalInput(last);
}

function terminalInput(bytes: Uint8Array): Input {
  const digest = digestOf(bytes);
  const last = unmarshalOp(bytes, digest);
  if (last.kind === 'op') {
    // BuildKit takes the first input of whatever op is last; an op without inputs names no result.
    const [first] = last.op.inputs;
    if (first) return first;
  } else if (last.inputs.length === 1) return last.inputs[0]!;
  throw new KilnError(
    'invalid_argument',
    'invalid LLB definition: its last op has to be the terminal one, with the result as its only input',
    { details: [{ kind: 'vertex', digest }] },
  );
}

function missing(digest: Digest, neededBy: Digest | undefined): KilnError {
  const user = neededBy ? `input of vertex ${neededBy}` : 'result';
  return new KilnError(
    'invalid_argument',
    `invalid LLB definition: the ${user} is ${digest}, which it does not contain`,
    {
      details: neededBy ? [{ kind: 'vertex', digest: neededBy }] : [],
    },
  );
}
