import { abortable } from '../../base/async/lifetime.ts';
import { KilnError } from '../../base/errors.ts';
import { type ContentModel, see } from './content-model.ts';
import type { ExecutionLog } from './execution-log.ts';
import type { ModelVertex } from './random-graph.ts';
import type { SolverRig, TestEdge, TestVertex } from './solver-rig.ts';
import type { VirtualTime } from './virtual-time.ts';

/** Where the vertices of a graph are executed. */
export interface Surroundings {
  readonly rig: SolverRig;
  readonly time: VirtualTime;
  readonly contents: ContentModel;
  readonly log: ExecutionLog;
}

/** The model as vertices for a solver. `forced`: names of those that ignore the cache. */
export function toVertices(
  graph: readonly ModelVertex[],
  forced: ReadonlySet<string>,
  { rig, time, contents, log }: Surroundings,
): Map<ModelVertex, TestVertex> {
  const vertices = new Map<ModelVertex, TestVertex>();
  /** Executed by force: what the cache ignores, and what depends on it. */
  const byForce = new Set<ModelVertex>();
  for (const model of graph) {
    const ignoreCache = forced.has(model.name);
    if (ignoreCache || model.inputs.some(({ vertex }) => byForce.has(vertex))) byForce.add(model);
    const vertex = rig.step(model.name, {
      inputs: model.inputs.map(({ vertex, index }): TestEdge => ({ vertex: vertices.get(vertex)!, index })),
      operation: model.operation,
      ignoreCache,
      cacheMap: async ({ signal, progress }) => {
        if (model.inputs.length === 0) progress.status({ id: 'resolves' });
        await time.sleep(model.cost % 3, signal);
      },
      cacheInputs: model.inputs.map((input) =>
        input.reading === 'definition'
          ? { selector: input.selector }
          : {
              selector: input.selector,
              contentOnly: input.reading === 'content only',
              reads: async (content, { signal }) => {
                await time.sleep(1, signal);
                return see(content, input);
              },
            },
      ),
      run: async (inputs, { signal, progress }) => {
        using execution = log.begin();
        progress.status({ id: 'runs' });
        try {
          await time.sleep(model.cost, signal);
          if (model.behaviour === 'hangs') await abortable(new Promise<never>(() => {}), signal);
        } catch (error) {
          await time.sleep(model.stubbornness);
          throw error;
        }
        if (model.behaviour === 'fails') throw new KilnError('unknown', `${model.operation} failed`);
        const seen = inputs.map((content, position) => see(content, model.inputs[position]!));
        progress.log(1, Buffer.from('done'));
        const outputs = contents.make(model, seen, ignoreCache);
        if (!byForce.has(model)) execution.completed(model, seen);
        return outputs;
      },
    });
    vertices.set(model, vertex);
  }
  return vertices;
}
