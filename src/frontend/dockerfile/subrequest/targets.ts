import type { Dockerfile } from '../parse/instruction-tree.ts';
import type { Answer } from './answer.ts';
import { targetsAnswer } from './targets-answer.ts';

/** The stages that can be built. */
export function listTargets({ stages, source }: Dockerfile): Answer {
  const targets = stages.map(({ from }, index) => ({
    name: from.name,
    isDefault: index === stages.length - 1,
    description: from.description,
    base: from.image,
    platform: from.flags.platform,
    range: from.range,
  }));
  return targetsAnswer(targets, source.data);
}
