import type { Range } from '../../../../base/errors.ts';
import type { Variables } from '../../expand/expand-word.ts';
import type { Linter } from '../../lint/linter.ts';
import { lintRules } from '../../lint/rules.ts';
import { nearest } from '../../nearest.ts';

/** Arguments that are meant for the frontend, and not passed to processes. */
export const frontendArgs: ReadonlySet<string> = new Set([
  'BUILDKIT_SBOM_SCAN_CONTEXT',
  'BUILDKIT_SBOM_SCAN_STAGE',
]);

/** Warns of variables that are used but not defined by any `ARG` or `ENV`. */
export function reportUndefined(
  unmatched: ReadonlySet<string>,
  args: ReadonlySet<string>,
  variables: Variables,
  range: Range,
  linter: Linter,
): void {
  for (const name of unmatched) {
    if (frontendArgs.has(name) || args.has(name)) continue;
    const match = nearest(name, variables.names());
    const hint = match === undefined ? '' : ` (did you mean $${match}?)`;
    linter.report(lintRules.undefinedVar, range, `Usage of undefined variable '$${name}'${hint}`);
  }
}
