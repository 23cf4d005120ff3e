import { setPriority } from 'node:os';
import { parentPort, type Transferable, workerData } from 'node:worker_threads';
import { type Deferred, deferred } from '../async/lifetime.ts';
import { KilnError } from '../errors.ts';
import {
  type FromWorker,
  fromWireError,
  type Task,
  type ToWorker,
  taskState,
  toWireError,
  type WorkerOptions,
} from './thread-pool.ts';

const { niceness } = workerData as WorkerOptions;
// Of this thread only: Linux has a priority for each.
if (niceness > 0) setPriority(niceness);

const port = parentPort!;
const post = (message: FromWorker, transfer: readonly Transferable[] = []) =>
  port.postMessage(message, transfer as Transferable[]);

/** A task that runs. */
interface Running {
  readonly stop: AbortController;
  /** Questions that have not been answered, by number. */
  readonly open: Map<number, Deferred<unknown>>;
}

const running = new Map<number, Running>();

port.on('message', (message: ToWorker) => {
  switch (message.kind) {
    case 'run':
      void run(message);
      return;
    case 'abort':
      running.get(message.id)?.stop.abort(new KilnError('canceled', 'canceled'));
      return;
    case 'answer': {
      const open = running.get(message.id)?.open;
      const asked = open?.get(message.question);
      open?.delete(message.question);
      if ('error' in message.answer) asked?.reject(fromWireError(message.answer.error));
      else asked?.resolve(message.answer.output);
      return;
    }
    case 'load':
      void import(message.module);
      return;
    case 'tidy':
      void import(message.module).then(({ default: tidy }: { default: () => void }) => tidy());
      return;
    case 'stop':
      port.close();
  }
});

async function run({ id, module, input, state }: Extract<ToWorker, { kind: 'run' }>): Promise<void> {
  if (Atomics.compareExchange(state, taskState.begun, 0, 1) !== 0) return;
  const current: Running = { stop: new AbortController(), open: new Map() };
  running.set(id, current);
  let questions = 0;
  try {
    const { default: task } = (await import(module)) as {
      default: Task<unknown, unknown, unknown, unknown, unknown>;
    };
    Atomics.store(state, taskState.loaded, 1);
    const output = await task(input, {
      throwIfAborted() {
        if (Atomics.load(state, taskState.cancelled) !== 0) throw new KilnError('canceled', 'canceled');
      },
      signal: current.stop.signal,
      emit: (event, transfer) => post({ id, kind: 'event', event }, transfer),
      ask(question) {
        const asked = deferred<unknown>();
        const number = questions++;
        current.open.set(number, asked);
        post({ id, kind: 'ask', number, question });
        return asked.promise;
      },
    });
    post({ id, kind: 'done', output });
  } catch (cause) {
    post({ id, kind: 'failed', error: toWireError(cause) });
  } finally {
    running.delete(id);
  }
}
