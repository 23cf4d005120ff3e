/** Where a step stands in what its frontend read, to find it again after an edit. */
export interface StepPlace {
  /** The stage, with the platform if there are several; empty for steps that are not of a Dockerfile. */
  readonly stage: string;
  /** The instruction (`RUN`), or the kind of the op. */
  readonly kind: string;
  /** Counted in the stage; 0 if unknown. */
  readonly position: number;
  /** The step without its numbers. */
  readonly text: string;
}

/** `[stage 2/5] RUN make`, as Dockerfile frontends name vertices; the platform comes first when there are several. */
const numbered = /^\[(?:(.*?) +)?(\d+)\/\d+\] (?:-> )?(.*)$/s;
/** What a resolved image is named after: part of what may change. */
const pin = /@sha256:[0-9a-f]{64}/;

/** Reads the place from a vertex's name. `opKind` serves for those that no Dockerfile has. */
export function stepPlace(name: string, opKind: string): StepPlace {
  const match = numbered.exec(name);
  if (!match) return { stage: '', kind: opKind, position: 0, text: name };
  const [, stage = '', position, instruction = ''] = match;
  const text = instruction.replace(pin, '');
  return { stage: stage || 'stage', kind: text.split(/\s/, 1)[0]!, position: Number(position), text };
}
