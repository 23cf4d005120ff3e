import type { Dockerfile } from '../parse/instruction-tree.ts';
import type { Answer } from './answer.ts';
import { locationOf } from './location.ts';
import { textTable } from './text-table.ts';

/** The stages that can be built. */
export function listTargets({ stages, source }: Dockerfile): Answer {
  const targets = stages.map(({ from }, index) => ({
    name: from.name || undefined,
    default: index === stages.length - 1 || undefined,
    description: from.description || undefined,
    base: from.image || undefined,
    platform: from.flags.platform || undefined,
    location: locationOf(from.range),
  }));
  const shown = ({ name, default: isDefault }: (typeof targets)[number]) =>
    [name, ...(isDefault ? ['(default)'] : [])].filter(Boolean).join(' ');
  return {
    json: { targets, sources: [Buffer.from(source.data).toString('base64')] },
    text: textTable(
      [['TARGET', 'DESCRIPTION'], ...targets.map((target) => [shown(target), target.description ?? ''])],
      1,
    ),
  };
}
