import { asKilnError } from '../base/errors.ts';
import type { ThreadPool } from '../base/threads/thread-pool.ts';
import type { FileOpInput } from './file-op.task.ts';
import { FailedAction, type FileOps } from './file-op.ts';

const task = new URL('./file-op.task.ts', import.meta.url);

/** File ops that run in `pool`. */
export function createFileOps({ pool }: { readonly pool: ThreadPool }): FileOps {
  const run = async (input: FileOpInput, signal: AbortSignal): Promise<number> => {
    let failed: number | undefined;
    try {
      return await pool.run<FileOpInput, number, number>(task, input, {
        signal,
        onEvent: (position) => {
          failed = position;
        },
      });
    } catch (error) {
      throw failed === undefined ? error : new FailedAction(asKilnError(error), failed);
    }
  };
  return {
    async apply(actions, signal) {
      await run({ actions, layer: undefined }, signal);
    },
    applyToLayer: (actions, layer, signal) => run({ actions, layer }, signal),
  };
}
