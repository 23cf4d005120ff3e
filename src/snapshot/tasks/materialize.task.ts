import { toByteString } from '../../base/text/byte-string.ts';
import type { TaskContext } from '../../base/threads/task.ts';
import { materialize } from './materialize.ts';

export interface MaterializeInput {
  /** Topmost first. */
  readonly dirs: readonly string[];
  readonly target: string;
}

export default function materializeTask({ dirs, target }: MaterializeInput, context: TaskContext): void {
  materialize(dirs.map(toByteString), toByteString(target), () => context.throwIfAborted());
}
