import assert from 'node:assert/strict';
import { asKilnError, KilnError } from '../../base/errors.ts';
import { Random } from './random.ts';
import { type Executions, type ModelVertex, randomGraph, toVertices } from './random-graph.ts';
import { SolverRig } from './solver-rig.ts';
import { VirtualTime } from './virtual-time.ts';

/**
 * One random world: a graph, jobs over it that come, are cancelled and go, a key store that is slow and fails, and
 * results that are pruned. Throws when anything differs from the model.
 */
export async function fuzzSchedule(seed: number): Promise<void> {
  const random = new Random(seed);
  const time = new VirtualTime();
  const rig = new SolverRig({
    // Virtual time would look to the run queue like a blocked event loop; a clock that stands keeps it to microtasks.
    clock: () => 0,
    maxParallelism: random.chance(0.3) ? 1 + random.below(3) : undefined,
  });
  const graph = randomGraph(random);
  const lookUpFailures = random.chance(0.2) ? 0.1 : 0;
  const lookUpTicks = random.chance(0.5) ? 5 : 0;
  rig.keys.beforeAnswer = async () => {
    if (lookUpTicks > 0) await time.sleep(random.below(lookUpTicks));
    if (random.chance(lookUpFailures)) throw new KilnError('unavailable', 'the key store is away');
  };
  const rounds = 1 + random.below(3);
  for (let round = 0; round < rounds; round++) {
    // A calm round has nothing that may run a vertex twice, so that its executions can be counted.
    const calm = random.chance(0.5) && lookUpFailures === 0 && graph.every(({ mayFail }) => !mayFail);
    await fuzzRound({ random, time, rig, graph, calm });
    if (random.chance(0.5)) rig.results.prune(() => random.chance(0.5));
  }
  let disposed = false;
  const disposing = rig[Symbol.asyncDispose]().finally(() => {
    disposed = true;
  });
  disposing.catch(() => {});
  assert(await time.run(() => disposed), 'the solver does not close');
  await disposing;
}

interface Round {
  readonly random: Random;
  readonly time: VirtualTime;
  readonly rig: SolverRig;
  readonly graph: readonly ModelVertex[];
  readonly calm: boolean;
}

async function fuzzRound(round: Round): Promise<void> {
  const { random, time, rig, graph, calm } = round;
  const counter = new ExecutionCounter();
  const jobs = Array.from({ length: 1 + random.below(4) }, () => rig.job());
  let left = 0;
  const work = jobs.map(async (job) => {
    const forced = new Set(
      calm || random.chance(0.7) ? [] : graph.filter(() => random.chance(0.2)).map(({ name }) => name),
    );
    const vertices = toVertices(rig, time, graph, forced, counter);
    let closing = false;
    const builds = Array.from({ length: 1 + random.below(3) }, async () => {
      const target = random.pick(graph);
      const index = random.below(2);
      const stop = new AbortController();
      if (!calm && random.chance(0.2))
        time.sleep(random.below(60)).then(() => stop.abort(new KilnError('canceled', 'stopped')));
      await time.sleep(random.below(30));
      try {
        const { content } = await job.build({ vertex: vertices.get(target)!, index }, stop.signal);
        assert.equal(content, target.contents[index], `${target.name} has a wrong result`);
      } catch (cause) {
        if (cause instanceof assert.AssertionError) throw cause;
        const error = asKilnError(cause);
        if (error.code === 'canceled')
          assert(stop.signal.aborted || closing, `${target.name} was cancelled by nobody`);
        else assert(error.code === 'unknown' && target.mayFail, `${target.name} failed: ${error.stack}`);
      }
    });
    if (!calm && random.chance(0.3)) {
      await time.sleep(random.below(60));
      closing = true;
      await job.close();
    }
    await Promise.all(builds);
    if (!calm) await job.close();
  });
  const all = Promise.allSettled(work).finally(() => left++);
  if (!(await time.run(() => left === 1)))
    assert.fail(`stuck, waiting for ${JSON.stringify(rig.solver.inspect(), null, 2)}`);
  for (const outcome of await all) if (outcome.status === 'rejected') throw outcome.reason;
  if (calm) counter.assertNothingRanTwice();
  let closed = false;
  const closing = Promise.all(jobs.map((job) => job.close())).finally(() => {
    closed = true;
  });
  assert(await time.run(() => closed), 'a job does not close');
  await closing;
}

/** Counts executions that went to their end: one that nobody needed any more was aborted, and may have to run again. */
class ExecutionCounter implements Executions {
  readonly #executed = new Map<string, string[]>();

  completed(vertex: ModelVertex): void {
    this.#executed.set(vertex.key, [...(this.#executed.get(vertex.key) ?? []), vertex.name]);
  }

  assertNothingRanTwice(): void {
    for (const [key, names] of this.#executed)
      assert.equal(names.length, 1, `${names.join(' and ')} have the key ${key} and all ran`);
  }
}
