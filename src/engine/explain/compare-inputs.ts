import path from 'node:path/posix';
import { hasWildcard } from '../../base/pattern/pattern.ts';
import type { ContentSelection } from '../../content-hash/checksum.ts';
import type { ContentComparison } from '../../content-hash/content-change.ts';
import type { FileCause } from './cause.ts';
import type { AccountInput } from './step-account.ts';

/** Whether two inputs counted as the same, by content or by where they come from. */
export function isSameInput(before: AccountInput, after: AccountInput): boolean {
  if (before.content !== undefined && before.content === after.content) return true;
  return before.keys.some((key) => after.keys.includes(key));
}

/** The paths that a step names, for people. */
export function selectionText(selections: readonly ContentSelection[]): string {
  return selections
    .map(({ path: selected, includePatterns, excludePatterns }) =>
      [
        selected,
        ...includePatterns.map((pattern) => `+${pattern}`),
        ...excludePatterns.map((pattern) => `-${pattern}`),
      ].join(' '),
    )
    .join(', ');
}

/** The first file that differs; undefined when none is known. */
export function fileCause(
  { first, total }: ContentComparison,
  { selections, from }: AccountInput,
): FileCause | undefined {
  const [change] = first;
  if (!change) return undefined;
  const selection = selections[change.part];
  const full = (below: string) => pathBelow(selection, below, from === 'context');
  return {
    kind: 'file',
    path: full(change.path),
    change: change.kind,
    ...(change.kind === 'renamed' ? { after: full(change.to) } : {}),
    ...('before' in change ? { before: change.before, after: change.after } : {}),
    from,
    more: total - 1,
  };
}

/** A path in the tree that a selection is of: absolute in stages, relative in the context. */
function pathBelow(selection: ContentSelection | undefined, below: string, relative: boolean): string {
  const whole = path.join('/', selection ? fixedPart(selection) : '', below);
  const clean = whole.length > 1 ? whole.replace(/\/$/, '') : whole;
  return relative ? clean.slice(1) || '.' : clean;
}

/** The part of a path before the first name with a wildcard. */
function fixedPart({ path: selected, wildcard }: ContentSelection): string {
  if (!wildcard) return selected;
  const names = selected.split('/');
  const first = names.findIndex((name) => hasWildcard(name));
  return first < 0 ? selected : names.slice(0, first).join('/');
}
