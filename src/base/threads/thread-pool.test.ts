import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { test } from 'node:test';
import { BroadcastChannel } from 'node:worker_threads';
import { KilnError } from '../errors.ts';
import type { EchoInput } from '../testing/echo.task.ts';
import { ThreadPool } from './thread-pool.ts';

const task = new URL('../testing/echo.task.ts', import.meta.url);
const run = (
  pool: ThreadPool,
  input: EchoInput,
  options: { signal?: AbortSignal; onEvent?: (event: string) => void } = {},
) => pool.run<EchoInput, string, string>(task, input, options);

test('a task answers, and tells what it does meanwhile', async () => {
  await using pool = new ThreadPool({ size: 2 });
  const events: string[] = [];
  const values = ['a', 'b', 'c', 'd', 'e'];
  const answers = await Promise.all(
    values.map((value) => run(pool, { kind: 'answer', value }, { onEvent: (event) => events.push(event) })),
  );
  assert.deepEqual(answers, values);
  assert.deepEqual(
    events.sort(),
    values.map((value) => `will answer ${value}`),
  );
});

test('an error keeps its code and hint on the way out of the thread, and the thread goes on', async () => {
  await using pool = new ThreadPool({ size: 1 });
  await assert.rejects(run(pool, { kind: 'fail' }), (error) => {
    assert.ok(error instanceof KilnError);
    assert.deepEqual(
      [error.code, error.message, error.hint],
      ['data_loss', 'it failed', 'try something else'],
    );
    return true;
  });
  assert.equal(await run(pool, { kind: 'answer', value: 'x' }), 'x');
});

test('an aborted task ends, whether it runs or waits', async () => {
  await using pool = new ThreadPool({ size: 1 });
  const stop = new AbortController();
  const running = run(pool, { kind: 'spin' }, { signal: stop.signal, onEvent: () => stop.abort() });
  const waiting = run(pool, { kind: 'answer', value: 'x' }, { signal: stop.signal });
  await Promise.all([running, waiting].map((work) => assert.rejects(work, { code: 'canceled' })));
  assert.equal(await run(pool, { kind: 'answer', value: 'y' }), 'y');
});

test('a task that waits hears that it was aborted', async () => {
  await using pool = new ThreadPool({ size: 1 });
  const stop = new AbortController();
  const waiting = run(pool, { kind: 'wait' }, { signal: stop.signal, onEvent: () => stop.abort() });
  await assert.rejects(waiting, { code: 'canceled' });
});

test('a task that does not look whether it was aborted is ended, and its place is free again', async () => {
  await using pool = new ThreadPool({ size: 1, patience: 50 });
  for (let round = 0; round < 3; round++) {
    const stop = new AbortController();
    const spinning = run(
      pool,
      { kind: 'spin-for-good' },
      { signal: stop.signal, onEvent: () => stop.abort() },
    );
    const next = run(pool, { kind: 'answer', value: 'next' });
    await assert.rejects(spinning, { code: 'canceled' });
    assert.equal(await next, 'next');
  }
});

test('a task in a shared thread is not ended because another there cannot notice that it was aborted', async () => {
  await using pool = new ThreadPool({ size: 1, shared: true, patience: 200 });
  const stop = new AbortController();
  const waiting = Promise.withResolvers<void>();
  const aborted = run(pool, { kind: 'wait' }, { signal: stop.signal, onEvent: () => waiting.resolve() });
  await waiting.promise;
  const computing = { kind: 'compute', milliseconds: 600 } as const;
  const other = run(pool, computing, { onEvent: () => stop.abort() });
  await assert.rejects(aborted, { code: 'canceled' });
  assert.equal(await other, 'computed');
});

test('a pool is closed while a task spins that nobody can stop', async () => {
  const pool = new ThreadPool({ size: 1 });
  const started = Promise.withResolvers<void>();
  const spinning = run(pool, { kind: 'spin-for-good' }, { onEvent: () => started.resolve() });
  const ended = assert.rejects(spinning, { code: 'canceled' });
  await started.promise;
  await pool[Symbol.asyncDispose]();
  await ended;
});

test('a task asks its caller, whose errors keep their code and hint', async () => {
  await using pool = new ThreadPool({ size: 1 });
  const ask = (onAsk?: (question: string) => Promise<string>) =>
    pool.run<EchoInput, string, string, string, string>(
      task,
      { kind: 'ask', question: 'who' },
      onAsk && { onAsk },
    );
  assert.equal(await ask(async (question) => `${question}?`), 'who: who?');
  const failure = new KilnError('data_loss', 'I forgot', { hint: 'ask somebody else' });
  await assert.rejects(
    ask(async () => {
      throw failure;
    }),
    { code: 'data_loss', message: 'I forgot', hint: 'ask somebody else' },
  );
  await assert.rejects(ask(), { code: 'internal' });
});

/** Tidies the idle threads of a pool, and resolves when one of them has said so. */
class Tidying implements Disposable {
  readonly #channel = new BroadcastChannel('tidied');
  /** How many threads have said so. */
  count = 0;

  constructor() {
    this.#channel.addEventListener('message', () => this.count++);
  }

  async tidy(pool: ThreadPool, times = 1): Promise<void> {
    const next = new Promise((resolve) => this.#channel.addEventListener('message', resolve, { once: true }));
    for (let time = 0; time < times; time++) pool.tidy(new URL('../testing/tidy.task.ts', import.meta.url));
    await next;
  }

  [Symbol.dispose](): void {
    this.#channel.close();
  }
}

test('threads that have worked are tidied up once', async () => {
  await using pool = new ThreadPool({ size: 2 });
  using tidying = new Tidying();
  await run(pool, { kind: 'answer', value: 'x' });
  await tidying.tidy(pool, 2);
  await run(pool, { kind: 'answer', value: 'x' });
  await tidying.tidy(pool);
  assert.equal(tidying.count, 2);
});

test('idle threads that are not to be kept end', async () => {
  await using pool = new ThreadPool({ size: 3, kept: 1 });
  using tidying = new Tidying();
  const all = Promise.withResolvers<string>();
  let asked = 0;
  const onAsk = () => {
    if (++asked === 3) all.resolve('now');
    return all.promise;
  };
  const ask = () =>
    pool.run<EchoInput, string, string, string, string>(task, { kind: 'ask', question: 'when' }, { onAsk });
  assert.deepEqual(await Promise.all([ask(), ask(), ask()]), ['when: now', 'when: now', 'when: now']);
  await tidying.tidy(pool);
  await run(pool, { kind: 'answer', value: 'x' });
  await tidying.tidy(pool);
  assert.equal(tidying.count, 2);
});

test('a closed pool ends what runs in it, also while a thread loads a native module', async () => {
  for (let round = 0; round < 10; round++) {
    const pool = new ThreadPool({ size: 3 });
    const started = Promise.withResolvers<void>();
    const outcomes = [
      run(pool, { kind: 'spin' }, { onEvent: () => started.resolve() }),
      run(pool, { kind: 'load-native' }),
      run(pool, { kind: 'load-native' }),
    ].map((work) =>
      work.then(
        () => 'done',
        () => 'ended',
      ),
    );
    await started.promise;
    await pool[Symbol.asyncDispose]();
    assert.equal((await Promise.all(outcomes))[0], 'ended');
  }
});

test('a task in a thread of its own is waited for, however late that thread starts', () => {
  // All threads that start after the variable was set come to their tasks later than a shared thread may.
  const late = `import { isMainThread } from 'node:worker_threads';
    if (!isMainThread && process.env.LATE) for (const end = performance.now() + 600; performance.now() < end; );`;
  const script = `
    import { ThreadPool } from ${JSON.stringify(new URL('./thread-pool.ts', import.meta.url))};
    const task = new URL(${JSON.stringify(task)});
    const pool = new ThreadPool({ size: 1, shared: true, patience: 100 });
    const stop = new AbortController();
    let restarts = 0;
    const onAsk = () => {
      if (restarts > 0) return 'now';
      const spins = { signal: stop.signal, onEvent: () => stop.abort(), onRestart: () => {} };
      process.env.LATE = '1';
      void pool.run(task, { kind: 'spin-for-good' }, spins).catch(() => {});
      return new Promise(() => {});
    };
    const answer = await pool.run(task, { kind: 'ask', question: 'when' }, { onAsk, onRestart: () => restarts++ });
    console.log(answer, restarts);
    process.exit();`;
  const args = ['--import', `data:text/javascript,${encodeURIComponent(late)}`, '-e', script];
  assert.equal(execFileSync(process.execPath, args, { encoding: 'utf8', timeout: 60_000 }), 'when: now 1\n');
});
