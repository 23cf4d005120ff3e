/** What runs in a thread of a pool: begins tasks as it is told, and carries their events, questions and results. */
import { setPriority } from 'node:os';
import { parentPort, type Transferable, workerData } from 'node:worker_threads';
import { type Deferred, deferred } from '../async/lifetime.ts';
import { KilnError } from '../errors.ts';
import type { Task } from './task.ts';
import { TaskState } from './task-state.ts';
import {
  type FromThread,
  fromWireError,
  type ThreadData,
  type ToThread,
  toWireError,
} from './thread-messages.ts';

const { niceness } = workerData as ThreadData;
// On Linux each thread has a priority of its own.
if (niceness > 0) setPriority(niceness);

const port = parentPort!;
const post = (message: FromThread, transfer: readonly Transferable[] = []) =>
  port.postMessage(message, transfer as Transferable[]);

/** A task that runs. */
interface Running {
  readonly stop: AbortController;
  /** Questions that have not been answered, by number. */
  readonly open: Map<number, Deferred<unknown>>;
}

const running = new Map<number, Running>();

port.on('message', (message: ToThread) => {
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

async function run({ id, module, input, state: cells }: Extract<ToThread, { kind: 'run' }>): Promise<void> {
  const state = new TaskState(cells);
  if (!state.begin()) {
    post({ id, kind: 'skipped' });
    return;
  }
  const current: Running = { stop: new AbortController(), open: new Map() };
  running.set(id, current);
  let questions = 0;
  try {
    const { default: task } = (await import(module)) as {
      default: Task<unknown, unknown, unknown, unknown, unknown>;
    };
    state.setLoaded();
    const output = await task(input, {
      throwIfAborted() {
        if (state.isCancelled) throw new KilnError('canceled', 'canceled');
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
