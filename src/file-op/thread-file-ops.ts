import type { ThreadPool } from '../base/threads/thread-pool.ts';
import type { FileOpInput } from './file-op.task.ts';
import type { FileOps } from './file-op.ts';

const task = new URL('./file-op.task.ts', import.meta.url);

/** File ops that run in `pool`. */
export function createFileOps({ pool }: { readonly pool: ThreadPool }): FileOps {
  return {
    async apply(actions, signal) {
      await pool.run<FileOpInput, number>(task, { actions, layer: undefined }, { signal });
    },
    applyToLayer: (actions, layer, signal) =>
      pool.run<FileOpInput, number>(task, { actions, layer }, { signal }),
  };
}
