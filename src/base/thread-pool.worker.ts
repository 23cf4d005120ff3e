import { setPriority } from 'node:os';
import { parentPort, type Transferable, workerData } from 'node:worker_threads';
import { asKilnError, KilnError } from './errors.ts';
import type { FromWorker, Task, ToWorker, WorkerOptions } from './thread-pool.ts';

const { niceness } = workerData as WorkerOptions;
// Of this thread only: Linux has a priority for each.
if (niceness > 0) setPriority(niceness);

const port = parentPort!;
const post = (message: FromWorker, transfer: readonly Transferable[] = []) =>
  port.postMessage(message, transfer as Transferable[]);

port.on('message', async (message: ToWorker) => {
  if (message.kind === 'tidy') {
    const { default: tidy } = (await import(message.module)) as { default: () => void };
    tidy();
    return;
  }
  if (message.kind === 'stop') {
    port.close();
    return;
  }
  const { id, module, input, cancelled } = message;
  try {
    const { default: task } = (await import(module)) as { default: Task<unknown, unknown, unknown> };
    const output = await task(input, {
      throwIfAborted() {
        if (Atomics.load(cancelled, 0) !== 0) throw new KilnError('canceled', 'canceled');
      },
      emit: (event, transfer) => post({ id, kind: 'event', event }, transfer),
    });
    post({ id, kind: 'done', output });
  } catch (cause) {
    const { code, message, hint, details, stack } = asKilnError(cause);
    post({ id, kind: 'failed', error: { code, message, hint, details, stack } });
  }
});
