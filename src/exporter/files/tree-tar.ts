import { type Deferred, deferred } from '../../base/async/lifetime.ts';
import type { ThreadPool } from '../../base/threads/thread-pool.ts';
import type { OutputTree } from '../../file-sync/client-output.ts';
import type { TreeTarInput } from './tree-tar.task.ts';

/** How many chunks may wait for the reader. */
const ahead = 16;

/** File trees as one tar archive, made in a thread while it is read. Leaving early stops the thread. */
export async function* treeTar(
  trees: readonly OutputTree[],
  pool: ThreadPool,
  signal: AbortSignal,
): AsyncIterable<Uint8Array> {
  const credit = new Int32Array(new SharedArrayBuffer(4));
  credit[0] = ahead;
  const left = new AbortController();
  const chunks: Uint8Array[] = [];
  let wake: Deferred<void> = deferred();
  let ended = false;
  const running = pool
    .run<TreeTarInput, void, Uint8Array>(
      new URL('./tree-tar.task.ts', import.meta.url),
      { trees, credit },
      {
        signal: AbortSignal.any([signal, left.signal]),
        onEvent: (chunk) => {
          chunks.push(chunk);
          wake.resolve();
        },
      },
    )
    .finally(() => {
      ended = true;
      wake.resolve();
    });
  running.catch(() => {});
  try {
    while (true) {
      const chunk = chunks.shift();
      if (chunk) {
        yield chunk;
        Atomics.add(credit, 0, 1);
        Atomics.notify(credit, 0);
      } else if (ended) {
        await running;
        return;
      } else {
        wake = deferred();
        await wake.promise;
      }
    }
  } finally {
    left.abort();
    await running.catch(() => {});
  }
}
