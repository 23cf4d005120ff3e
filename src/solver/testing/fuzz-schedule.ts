import assert from 'node:assert/strict';
import { asKilnError, KilnError } from '../../base/errors.ts';
import { Random } from '../../base/testing/random.ts';
import { ContentModel } from './content-model.ts';
import { ExecutionLog } from './execution-log.ts';
import { type Surroundings, toVertices } from './model-vertices.ts';
import { randomCacheSource } from './random-cache-source.ts';
import { type ModelVertex, randomGraph } from './random-graph.ts';
import { type RigJob, SolverRig } from './solver-rig.ts';
import { VirtualTime } from './virtual-time.ts';

interface World extends Surroundings {
  readonly random: Random;
  readonly graph: readonly ModelVertex[];
}

/**
 * One random world: a graph, jobs over it that come, are cancelled and go, a key store that is slow and fails, caches
 * that are imported, and results that are pruned. Throws when anything differs from the model.
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
  const contents = new ContentModel(graph);
  const log = new ExecutionLog();
  const world: World = { random, time, rig, contents, log, graph };
  const lookUpFailures = random.chance(0.2) ? 0.1 : 0;
  const lookUpTicks = random.chance(0.5) ? 5 : 0;
  rig.keys.beforeAnswer = async () => {
    if (lookUpTicks > 0) await time.sleep(random.below(lookUpTicks));
    if (random.chance(lookUpFailures)) throw new KilnError('unavailable', 'the key store is away');
  };
  const source = random.chance(0.25) ? await randomCacheSource({ ...world, target: rig }) : undefined;
  const rounds = 1 + random.below(3);
  for (; contents.round < rounds; contents.round++) {
    const calm = random.chance(0.3);
    const jobs = Array.from({ length: 1 + random.below(4) }, () =>
      rig.job({ cacheSources: source && random.chance(0.5) ? [source] : [] }),
    );
    await time.during(Promise.all(jobs.map((job) => fuzzJob(job, world, calm))), () => rig.solver.inspect());
    await time.during(Promise.all(jobs.map((job) => job.close())));
    log.assertNothingRuns();
    // What a failing look-up did not find, or a failing commit did not save, has to be done again.
    if (lookUpFailures === 0) log.assertNothingRanTwice();
    if (random.chance(0.5)) {
      const lost = rig.results.prune(() => random.chance(0.5));
      for (const content of lost) log.lost(contents.workOf(content));
    }
  }
  await time.during(rig[Symbol.asyncDispose]());
}

/** Some builds of one job. In a calm one, nothing is forced, cancelled unless it may hang, or closed early. */
async function fuzzJob(job: RigJob, world: World, calm: boolean): Promise<void> {
  const { random, time, graph, contents } = world;
  const forced = new Set(
    calm || random.chance(0.7) ? [] : graph.filter(() => random.chance(0.2)).map(({ name }) => name),
  );
  const vertices = toVertices(graph, forced, world);
  let closing = false;
  const builds = Array.from({ length: 1 + random.below(3) }, async () => {
    const target = random.pick(graph);
    const index = random.pick(target.outputs);
    const stop = new AbortController();
    if (target.mayHang || (!calm && random.chance(0.2)))
      time.sleep(random.below(60)).then(() => stop.abort(new KilnError('canceled', 'stopped')));
    await time.sleep(random.below(30));
    let content: string;
    try {
      ({ content } = await job.build({ vertex: vertices.get(target)!, index }, stop.signal));
    } catch (cause) {
      const error = asKilnError(cause);
      if (error.code === 'canceled')
        assert(stop.signal.aborted || closing, `${target.name} was cancelled by nobody`);
      else assert(error.code === 'unknown' && target.mayFail, `${target.name} failed: ${error.stack}`);
      return;
    }
    assert(
      contents.isRight(target, index, content, forced),
      `output ${index} of ${target.name} is wrong: ${content}`,
    );
  });
  if (!calm && random.chance(0.3)) {
    await time.sleep(random.below(60));
    closing = true;
    await job.close();
  }
  await Promise.all(builds);
  if (!calm) await job.close();
}
