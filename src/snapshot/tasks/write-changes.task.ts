import { toByteString } from '../../base/text/byte-string.ts';
import type { TaskContext } from '../../base/threads/task.ts';
import { type ChangesToWrite, writeChanges } from './write-changes.ts';

/** As `ChangesToWrite`, with paths as text; several steps are written one after the other. */
export type WriteChangesInput = readonly ChangesToWrite[];

export default function writeChangesTask(steps: WriteChangesInput, context: TaskContext): void {
  for (const { lower, upper, target, ...rest } of steps) {
    writeChanges(
      {
        lower: lower.map(toByteString),
        upper: upper.map(toByteString),
        target: toByteString(target),
        ...rest,
      },
      () => context.throwIfAborted(),
    );
  }
}
