import type { TaskContext } from '../base/thread-pool.ts';
import { bytePath } from './byte-path.ts';
import { type ChangesToWrite, writeChanges } from './write-changes.ts';

/** As `ChangesToWrite`, with paths as text; several steps are written one after the other. */
export type WriteChangesInput = readonly ChangesToWrite[];

export default function writeChangesTask(steps: WriteChangesInput, context: TaskContext): void {
  for (const { lower, upper, target, ...rest } of steps) {
    writeChanges(
      { lower: lower.map(bytePath), upper: upper.map(bytePath), target: bytePath(target), ...rest },
      () => context.throwIfAborted(),
    );
  }
}
