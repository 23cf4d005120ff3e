import { KilnError } from '../../base/errors.ts';
import type { Random } from '../../base/testing/random.ts';
import type { CacheSource } from '../solver.ts';
import type { ContentModel } from './content-model.ts';
import type { CountedResult } from './counted-results.ts';
import { ExecutionLog } from './execution-log.ts';
import { toVertices } from './model-vertices.ts';
import type { ModelVertex } from './random-graph.ts';
import { SolverRig } from './solver-rig.ts';
import type { VirtualTime } from './virtual-time.ts';

/** A cache that another solver filled by building parts of the same graph: slow, unreliable, and not complete. */
export async function randomCacheSource(options: {
  readonly random: Random;
  readonly time: VirtualTime;
  readonly contents: ContentModel;
  readonly graph: readonly ModelVertex[];
  /** Where its results are loaded into. */
  readonly target: SolverRig;
}): Promise<CacheSource<CountedResult>> {
  const { random, time, contents, graph, target } = options;
  const rig = new SolverRig({ clock: () => 0 });
  const vertices = toVertices(graph, new Set(), { rig, time, contents, log: new ExecutionLog() });
  const job = rig.job();
  const wanted = graph.filter(({ mayFail, mayHang }) => !mayFail && !mayHang && random.chance(0.3));
  await time.during(Promise.all(wanted.map((vertex) => job.build(vertices.get(vertex)!))));
  await time.during(job.close());
  await time.during(rig[Symbol.asyncDispose]());
  if (random.chance(0.5)) rig.results.prune(() => random.chance(0.5));
  const ticks = random.below(30);
  const failures = random.chance(0.3) ? 0.3 : 0;
  const answer = async () => {
    if (ticks > 0) await time.sleep(random.below(ticks));
    if (random.chance(failures)) throw new KilnError('unavailable', 'the imported cache is away');
  };
  rig.keys.beforeAnswer = answer;
  return {
    name: 'elsewhere',
    keys: rig.keys,
    results: {
      async load(id) {
        await answer();
        const content = rig.results.contentOf(id);
        return content === undefined ? undefined : target.results.create(content);
      },
    },
  };
}
