import type { ThreadPool } from '../base/thread-pool.ts';
import type { FileOps, PreparedAction } from './file-op.ts';

/** File ops that run in `pool`. */
export function createFileOps({ pool }: { readonly pool: ThreadPool }): FileOps {
  return {
    apply(actions: readonly PreparedAction[], signal: AbortSignal): Promise<void> {
      return pool.run<readonly PreparedAction[], void>(
        new URL('./file-op.task.ts', import.meta.url),
        actions,
        { signal },
      );
    },
  };
}
