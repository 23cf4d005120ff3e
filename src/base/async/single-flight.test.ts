import assert from 'node:assert/strict';
import { test } from 'node:test';
import { KilnError } from '../errors.ts';
import { silentProgress } from '../progress.ts';
import { deferred } from './lifetime.ts';
import { SingleFlight } from './single-flight.ts';

const isCanceled = (error: unknown) => error instanceof KilnError && error.code === 'canceled';

test('work for one key runs once, and late comers see its progress from the start', async () => {
  const flight = new SingleFlight<number>();
  const gate = deferred<void>();
  let runs = 0;
  const seen: string[][] = [[], []];
  const watch = (index: number) => ({
    progress: { ...silentProgress, status: ({ id }: { id: string }) => void seen[index]!.push(id) },
  });
  const first = flight.run(
    'key',
    async ({ progress }) => {
      runs++;
      progress.status({ id: 'one' });
      await gate.promise;
      progress.status({ id: 'two' });
      return 7;
    },
    watch(0),
  );
  const second = flight.run('key', () => assert.fail('it runs already'), watch(1));
  gate.resolve();
  assert.deepEqual(await Promise.all([first, second]), [7, 7]);
  assert.equal(runs, 1);
  assert.deepEqual(seen, [
    ['one', 'two'],
    ['one', 'two'],
  ]);
  assert.equal(await flight.run('key', async () => 8), 8);
});

test('work is aborted with the last who waits, and not before', async () => {
  const flight = new SingleFlight<void>();
  const [one, two] = [new AbortController(), new AbortController()];
  let signal: AbortSignal | undefined;
  const endless = (context: { signal: AbortSignal }) => {
    signal = context.signal;
    return new Promise<void>((_, reject) => signal!.addEventListener('abort', () => reject(signal!.reason)));
  };
  const first = flight.run('key', endless, { signal: one.signal });
  const second = flight.run('key', endless, { signal: two.signal });
  one.abort();
  await assert.rejects(first, isCanceled);
  assert.equal(signal?.aborted, false);
  two.abort();
  await assert.rejects(second, isCanceled);
  assert.equal(signal?.aborted, true);
});

test('work asked for again while its aborted run still ends starts after that', async () => {
  const flight = new SingleFlight<string>();
  const gate = deferred<string>();
  const stop = new AbortController();
  const order: string[] = [];
  const first = flight.run('key', () => gate.promise.finally(() => order.push('first ended')), {
    signal: stop.signal,
  });
  stop.abort();
  await assert.rejects(first, isCanceled);
  const second = flight.run('key', async () => {
    order.push('second started');
    return 'second';
  });
  gate.resolve('first');
  assert.equal(await second, 'second');
  assert.deepEqual(order, ['first ended', 'second started']);
});

test('a failure reaches everyone and is not remembered', async () => {
  const flight = new SingleFlight<number>();
  const fail = async () => {
    throw new KilnError('unavailable', 'down');
  };
  const both = await Promise.allSettled([flight.run('key', fail), flight.run('key', fail)]);
  assert.deepEqual(
    both.map((result) => result.status),
    ['rejected', 'rejected'],
  );
  assert.equal(await flight.run('key', async () => 1), 1);
});
