import type { Steps } from '../base/async/in-turns.ts';
import { type Digest, digestOf } from '../base/digest.ts';
import { type Json, jsonMap, nonEmpty } from '../base/json/json-steps.ts';
import type { OpGraph } from '../llb/graph.ts';
import type { Input } from '../llb/op.ts';
import { marshalTerminal } from '../llb/wire/marshal-op.ts';
import { type OpJsonOptions, opJson, terminalJson } from './op-json.ts';

/** A definition as a list of steps, each after the steps that it needs. The last one stands for the result. */
export interface BuildSteps {
  readonly steps: readonly (() => Json)[];
  /** Names of steps (`step0`) by the digest of the op. */
  readonly names: ReadonlyMap<Digest, string>;
}

/** The steps of a definition. They are made when they are written. The empty tree has none. */
export function* buildSteps(graph: OpGraph, options: OpJsonOptions): Steps<BuildSteps> {
  const { vertices, result } = graph;
  const names = new Map<Digest, string>();
  if (!result) return { steps: [], names };
  for (const digest of inputsFirst(graph, result)) {
    names.set(digest, `step${names.size}`);
    yield;
  }
  const inputs = (list: readonly Input[]) => list.map(({ digest, index }) => `${names.get(digest)}:${index}`);
  const steps = [...names].map(([digest, id]): (() => Json) => {
    const { op } = vertices.get(digest)!;
    return () => nonEmpty({ id, op: opJson(op, options), inputs: inputs(op.inputs) });
  });
  const end = `step${names.size}`;
  steps.push(() => ({ id: end, op: terminalJson, inputs: inputs([result]) }));
  names.set(digestOf(graph.definition?.ops.at(-1) ?? marshalTerminal(result)), end);
  return { steps, names };
}

/** The names of the steps as a field of a predicate. */
export function digestMapping({ names }: BuildSteps): (() => Json) | undefined {
  return names.size === 0 ? undefined : () => jsonMap(names)!;
}

/** All vertices: the inputs of each in their order, and then the vertex. */
function* inputsFirst({ vertices }: OpGraph, result: Input): Generator<Digest> {
  const entered = new Set<Digest>([result.digest]);
  const stack = [{ digest: result.digest, next: 0 }];
  for (let top = stack.at(-1); top; top = stack.at(-1)) {
    const input = vertices.get(top.digest)!.op.inputs[top.next++];
    if (!input) {
      stack.pop();
      yield top.digest;
    } else if (!entered.has(input.digest)) {
      entered.add(input.digest);
      stack.push({ digest: input.digest, next: 0 });
    }
  }
}
