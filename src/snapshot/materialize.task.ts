import type { TaskContext } from '../base/thread-pool.ts';
import { bytePath } from './byte-path.ts';
import type { CopyMethod } from './entry-copier.ts';
import { materialize } from './materialize.ts';

export interface MaterializeInput {
  /** Topmost first. */
  readonly dirs: readonly string[];
  readonly target: string;
  readonly method: CopyMethod;
}

export default function materializeTask(
  { dirs, target, method }: MaterializeInput,
  context: TaskContext,
): void {
  materialize(dirs.map(bytePath), bytePath(target), method, () => context.throwIfAborted());
}
