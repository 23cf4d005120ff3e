import assert from 'node:assert/strict';
import { it } from 'node:test';
import { deferred } from '../base/async/lifetime.ts';
import { KilnError } from '../base/errors.ts';
import { gate } from './testing/gate.ts';
import { SolverRig, type StepOptions, type TestVertex, whole } from './testing/solver-rig.ts';

/** Two vertices that are found equal only by the content of what they read. */
function copies(rig: SolverRig, options: StepOptions): [TestVertex, TestVertex] {
  const copy = (number: number) =>
    rig.step(`copy ${number}`, {
      ...options,
      operation: 'copy',
      inputs: [rig.step(`stage ${number}`, { run: () => ['same output'] })],
      cacheInputs: [whole],
    });
  return [copy(1), copy(2)];
}

const isCanceled = (error: unknown) => error instanceof KilnError && error.code === 'canceled';

async function follows(rig: SolverRig): Promise<void> {
  while (!rig.solver.inspect().some(({ state }) => state.includes('following')))
    await new Promise(setImmediate);
}

/** Turns of the event loop, of which any would do for a promise that waits for nothing. */
async function isPending(promise: Promise<unknown>): Promise<boolean> {
  let settled = false;
  const done = () => {
    settled = true;
  };
  promise.then(done, done);
  for (let turn = 0; turn < 10; turn++) await new Promise(setImmediate);
  return !settled;
}

const executedCopies = (rig: SolverRig) => rig.executed.filter((name) => name.startsWith('copy'));

it('work that was done for a job that has ended is not done again while its result is being saved', async () => {
  await using rig = new SolverRig();
  const saving = deferred<void>();
  const saved = deferred<void>();
  const [one, other] = copies(rig, {
    run: () => {
      rig.keys.beforeAnswer = (what) => {
        if (what !== 'commit') return;
        saving.resolve();
        return saved.promise;
      };
      return ['copied'];
    },
  });
  const [first, second] = [rig.job(), rig.job()];
  await first.build(one);
  await saving.promise;
  const closed = first.close();
  assert.equal((await second.build(other)).content, 'copied');
  const waited = await isPending(closed);
  saved.resolve();
  await Promise.all([closed, second.close()]);
  assert(waited, 'close did not wait for what is being saved');
  assert.deepEqual(executedCopies(rig), ['copy 1']);
});

it('work that was done for a job that has ended is found by what is equal to it', async () => {
  await using rig = new SolverRig();
  const [one, other] = copies(rig, {});
  await rig.build(one);
  assert.deepEqual(await rig.build(other), { content: 'copy 1(same output)', cached: true });
  assert.deepEqual(executedCopies(rig), ['copy 1']);
});

it('a job waits in close until what another vertex did for it is saved', async () => {
  await using rig = new SolverRig();
  const step = gate();
  const saved = deferred<void>();
  const [one, other] = copies(rig, {
    run: async (contents, context) => {
      const outputs = await step.run(contents, context);
      rig.keys.beforeAnswer = (what) => (what === 'commit' ? saved.promise : undefined);
      return outputs;
    },
  });
  const [first, second] = [rig.job(), rig.job()];
  const led = first.build(one);
  await step.reached;
  const followed = second.build(other);
  await follows(rig);
  step.open();
  await Promise.all([led, followed]);
  const closed = second.close();
  const waited = await isPending(closed);
  saved.resolve();
  await closed;
  await first.close();
  assert(waited);
});

it('a job waits in close until what another vertex ran for it alone has stopped', async () => {
  await using rig = new SolverRig();
  const reached = deferred<void>();
  const stopped = deferred<void>();
  const [one, other] = copies(rig, {
    run: async (_contents, { signal }) => {
      reached.resolve();
      await stopped.promise;
      throw signal.reason;
    },
  });
  const [first, second] = [rig.job(), rig.job()];
  const left = assert.rejects(first.build(one), isCanceled);
  await reached.promise;
  const canceled = assert.rejects(second.build(other), isCanceled);
  await follows(rig);
  await first.close();
  const closed = second.close();
  const waited = await isPending(closed);
  stopped.resolve();
  await closed;
  await Promise.all([left, canceled]);
  assert(waited);
});

it('a result whose loading ends after its job has closed is released', async () => {
  await using rig = new SolverRig();
  const step = rig.step('step');
  await rig.build(step);
  const loading = deferred<void>();
  const loaded = deferred<void>();
  const load = rig.results.load.bind(rig.results);
  rig.results.load = async (id) => {
    loading.resolve();
    await loaded.promise;
    return await load(id);
  };
  const job = rig.job();
  const canceled = assert.rejects(job.build(step), isCanceled);
  await loading.promise;
  const closed = job.close();
  await canceled;
  loaded.resolve();
  await closed;
});

it('work that runs alone neither follows equal work nor is followed', async () => {
  await using rig = new SolverRig();
  const step = gate();
  const [one, other] = copies(rig, { run: step.run, runsAlone: true });
  const built = [rig.build(one), rig.build(other)];
  while (executedCopies(rig).length < 2) await new Promise(setImmediate);
  step.open();
  await Promise.all(built);
});
