import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import type { EchoInput } from '../testing/echo.task.ts';
import { temporaryDirectories } from '../testing/temporary-directories.ts';
import type { RunOptions } from './thread-job.ts';
import { ThreadPool, type ThreadPoolOptions } from './thread-pool.ts';

const task = new URL('../testing/echo.task.ts', import.meta.url);
const newDirectory = temporaryDirectories();

/** A module with this text. */
const moduleOf = (text: string) => new URL(`data:text/javascript,${encodeURIComponent(text)}`);

/** A pool whose tasks share one thread as long as it begins what it is given. */
const sharedPool = (options: ThreadPoolOptions = {}) =>
  new ThreadPool({ size: 8, kept: 1, tasksPerThread: 50, shared: true, ...options });

/** Runs a task that may begin anew. */
const run = (threads: ThreadPool, input: EchoInput, options: RunOptions<string, string, string> = {}) =>
  threads.run<EchoInput, string, string, string, string>(task, input, { onRestart() {}, ...options });

test('tasks that wait for answers share a thread, and none waits for another', async () => {
  await using pool = sharedPool({ size: 1 });
  const all = Promise.withResolvers<void>();
  let asked = 0;
  const answers = await Promise.all(
    Array.from({ length: 20 }, (_, index) =>
      run(
        pool,
        { kind: 'ask', question: String(index) },
        {
          async onAsk(question) {
            if (++asked === 20) all.resolve();
            await all.promise;
            return `${question}!`;
          },
        },
      ),
    ),
  );
  assert.deepEqual(answers.slice(0, 2), ['0: 0!', '1: 1!']);
});

test('an aborted task ends, and what shares its thread goes on', async () => {
  await using pool = sharedPool({ size: 1 });
  const stop = new AbortController();
  const waiting = run(pool, { kind: 'wait' }, { signal: stop.signal, onEvent: () => stop.abort() });
  const other = run(pool, { kind: 'ask', question: 'who' }, { onAsk: async () => 'me' });
  await assert.rejects(waiting, { code: 'canceled' });
  assert.equal(await other, 'who: me');
});

test('a task does not wait for another that computes for good', async () => {
  await using pool = sharedPool({ patience: 50 });
  const stop = new AbortController();
  const started = Promise.withResolvers<void>();
  const endless = run(
    pool,
    { kind: 'spin-for-good' },
    { signal: stop.signal, onEvent: () => started.resolve() },
  );
  await started.promise;
  assert.equal(await run(pool, { kind: 'answer', value: 'x' }), 'x');
  stop.abort();
  await assert.rejects(endless, { code: 'canceled' });
});

test('nor does one that is given to a thread before that has started', async () => {
  await using pool = sharedPool({ patience: 50 });
  const stop = new AbortController();
  const endless = run(pool, { kind: 'spin-for-good' }, { signal: stop.signal });
  assert.equal(await run(pool, { kind: 'answer', value: 'x' }, { signal: AbortSignal.timeout(20_000) }), 'x');
  stop.abort();
  await assert.rejects(endless, { code: 'canceled' });
});

test('a thread that did not begin a task in time gets others once it goes on', {
  timeout: 60_000,
}, async ({ signal }) => {
  await using pool = sharedPool({ size: 2, tasksPerThread: 1 });
  const sign = path.join(newDirectory(), 'go-on');
  const blocking = `import { existsSync } from 'node:fs'; while (!existsSync(${JSON.stringify(sign)}));`;
  const asking = `import { threadId } from 'node:worker_threads';
    export default (input, context) => context.ask().then(() => threadId);`;
  const threadOf = (onAsk: () => Promise<void>) =>
    pool.run<undefined, number, never, undefined, void>(moduleOf(asking), undefined, {
      onAsk,
      onRestart() {},
    });
  const threadsOfTwo = async () => {
    const both = Promise.withResolvers<void>();
    let asked = 0;
    const onAsk = () => {
      if (++asked === 2) both.resolve();
      return both.promise;
    };
    return new Set(await Promise.all([threadOf(onAsk), threadOf(onAsk)]));
  };
  pool.prepare(moduleOf(blocking));
  const other = await threadOf(async () => {});
  assert.deepEqual(
    await threadsOfTwo(),
    new Set([other]),
    'the idle thread stayed, since the first is blocked',
  );
  writeFileSync(sign, '');
  while ((await threadsOfTwo()).size < 2) signal.throwIfAborted();
});

test('a task begins anew when its thread is ended for the sake of another', async () => {
  await using pool = sharedPool({ size: 1, patience: 50 });
  const stop = new AbortController();
  const asked = Promise.withResolvers<void>();
  const answered = Promise.withResolvers<string>();
  let restarts = 0;
  const victim = run(
    pool,
    { kind: 'ask', question: 'who' },
    {
      onAsk: () => {
        asked.resolve();
        return answered.promise;
      },
      onRestart: () => restarts++,
    },
  );
  await asked.promise;
  const endless = run(pool, { kind: 'spin-for-good' }, { signal: stop.signal, onEvent: () => stop.abort() });
  await assert.rejects(endless, { code: 'canceled' });
  answered.resolve('me');
  assert.equal(await victim, 'who: me');
  assert.equal(restarts, 1);
});

test('a task that needs too much memory fails, and what shares its thread does not', async () => {
  await using pool = sharedPool({ size: 1, megabytes: 64 });
  const asked = Promise.withResolvers<void>();
  const answered = Promise.withResolvers<string>();
  const onAsk = () => {
    asked.resolve();
    return answered.promise;
  };
  const victim = run(pool, { kind: 'ask', question: 'who' }, { onAsk });
  await asked.promise;
  await assert.rejects(run(pool, { kind: 'eat' }), { code: 'resource_exhausted' });
  answered.resolve('me');
  assert.equal(await victim, 'who: me');
});
