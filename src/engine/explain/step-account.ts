import type { Digest } from '../../base/digest.ts';
import type { Platform } from '../../base/platform.ts';
import type { ContentSelection } from '../../content-hash/checksum.ts';
import type { OpGraph, OpVertex } from '../../llb/graph.ts';
import type { LookupAccount } from '../../solver/solver.ts';
import { inputSelections } from '../operations/input-selections.ts';
import { schemeOf } from '../operations/source-operation.ts';
import { vertexDescription } from '../operations/vertex-description.ts';
import { cutText, type StepField, stepFields } from './step-fields.ts';
import { type StepPlace, stepPlace } from './step-place.ts';

/** What a step was made from, kept to tell later what differs. */
export interface StepAccount {
  /** Equal work has equal keys, in every build. */
  readonly key: string;
  readonly place: StepPlace;
  readonly fields: readonly StepField[];
  readonly inputs: readonly AccountInput[];
}

export interface AccountInput {
  /** Keys of the step that it comes from; none when only its content counts. */
  readonly keys: readonly string[];
  /** What is read of it, where that is known. */
  readonly content?: Digest;
  readonly selections: readonly ContentSelection[];
  /** What people call the place that it comes from: a stage, or the name of a local directory. */
  readonly from: string;
  /** The step that it comes from. */
  readonly step: string;
}

/** An input has few keys, and equal inputs have some in common. */
const maxKeys = 8;

export function stepAccount(
  vertex: OpVertex,
  lookup: LookupAccount,
  graph: OpGraph,
  platform: Platform,
): StepAccount {
  const selections = inputSelections(vertex.op);
  return {
    key: lookup.key,
    place: placeOf(vertex),
    fields: stepFields(vertex.op, platform),
    inputs: lookup.inputs.map((input, index) => {
      const source = graph.vertices.get(vertex.op.inputs[index]!.digest)!;
      const { stage, text } = placeOf(source);
      return {
        keys: [...input.keys, ...input.forcedKeys].slice(0, maxKeys),
        content: input.contentKey,
        selections: selections[index] ?? [],
        from: localName(source) ?? (stage || text),
        step: text,
      };
    }),
  };
}

/** Long descriptions are cut and end with a digest of the whole: every consumer's account repeats them. */
export function placeOf(vertex: OpVertex): StepPlace {
  return stepPlace(cutText(vertexDescription(vertex)), vertex.op.action.kind);
}

function localName({ op: { action } }: OpVertex): string | undefined {
  if (action.kind !== 'source' || schemeOf(action) !== 'local') return undefined;
  return action.identifier.slice('local://'.length);
}
