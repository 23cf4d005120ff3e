import type { SolveStatus, WarningUpdate } from '../client/solve-status.ts';
import type { Display } from './progress/display.ts';

/** Shows a build's events until there are no more; gives the warnings among them. `trace` sees every event too. */
export async function showProgress(
  progress: AsyncIterable<SolveStatus>,
  display: Display,
  trace?: (status: SolveStatus) => void,
): Promise<readonly WarningUpdate[]> {
  const warnings: WarningUpdate[] = [];
  try {
    for await (const status of progress) {
      display.update(status);
      trace?.(status);
      warnings.push(...status.warnings);
    }
  } finally {
    display.finish();
  }
  return warnings;
}
