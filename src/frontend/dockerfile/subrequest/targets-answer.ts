import type { Range } from '../../../base/errors.ts';
import type { Answer } from './answer.ts';
import { locationOf } from './location.ts';
import { textTable } from './text-table.ts';

/** Something that can be built. */
export interface ListedTarget {
  readonly name?: string;
  readonly isDefault: boolean;
  readonly description?: string;
  /** The image or target that it starts from. */
  readonly base?: string;
  readonly platform?: string;
  readonly range?: Range;
}

/** The answer to the question for what can be built from a file. */
export function targetsAnswer(all: readonly ListedTarget[], data: Uint8Array): Answer {
  const targets = all.map(({ name, isDefault, description, base, platform, range }) => ({
    name: name || undefined,
    default: isDefault || undefined,
    description: description || undefined,
    base: base || undefined,
    platform: platform || undefined,
    location: range && locationOf(range),
  }));
  const shown = ({ name, default: isDefault }: (typeof targets)[number]) =>
    [name, ...(isDefault ? ['(default)'] : [])].filter(Boolean).join(' ');
  return {
    json: { targets, sources: [Buffer.from(data).toString('base64')] },
    text: textTable(
      [['TARGET', 'DESCRIPTION'], ...targets.map((target) => [shown(target), target.description ?? ''])],
      1,
    ),
  };
}
