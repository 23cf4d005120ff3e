import type { TaskContext } from '../base/thread-pool.ts';
import { bytePath } from './byte-path.ts';
import { materialize } from './materialize.ts';

export interface MaterializeInput {
  /** Topmost first. */
  readonly dirs: readonly string[];
  readonly target: string;
}

export default function materializeTask({ dirs, target }: MaterializeInput, context: TaskContext): void {
  materialize(dirs.map(bytePath), bytePath(target), () => context.throwIfAborted());
}
