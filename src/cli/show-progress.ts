import type { SolveStatus, WarningUpdate } from '../client/solve-status.ts';
import type { Display } from './progress/display.ts';

/**
 * Shows a build's events until there are no more; gives the warnings among them. `explain` shows why steps were not
 * cached; `trace` sees every event, as it came.
 */
export async function showProgress(
  progress: AsyncIterable<SolveStatus>,
  display: Display,
  options: { readonly explain?: boolean; readonly trace?: (status: SolveStatus) => void } = {},
): Promise<readonly WarningUpdate[]> {
  const warnings: WarningUpdate[] = [];
  try {
    for await (const status of progress) {
      display.update(options.explain ? status : { ...status, explanations: [] });
      options.trace?.(status);
      warnings.push(...status.warnings);
    }
  } finally {
    display.finish();
  }
  return warnings;
}
