import { KilnError } from '../../base/errors.ts';
import type { Random } from './random.ts';
import type { SolverRig, TestEdge, TestVertex } from './solver-rig.ts';
import type { VirtualTime } from './virtual-time.ts';

/** How an input of a model vertex counts in its cache key. */
type Reading = 'definition' | 'content' | 'content only';

export interface ModelVertex {
  readonly name: string;
  readonly operation: string;
  readonly inputs: readonly {
    readonly vertex: ModelVertex;
    readonly index: number;
    readonly reading: Reading;
  }[];
  /** What its outputs are, by the model: a function of the operation and of what it reads. */
  readonly contents: readonly string[];
  /** Equal keys: one execution serves all. */
  readonly key: string;
  readonly behaviour: 'succeeds' | 'fails';
  /** Whether it or anything above it may fail. */
  readonly mayFail: boolean;
  readonly cost: number;
  /** Goes on after it was told to stop, for so many ticks. */
  readonly stubbornness: number;
}

/** What a consumer that counts an input by its content reads of it: little enough to be often equal. */
function read(content: string): string {
  return content.slice(-1);
}

/** A graph whose right results are known beforehand, in an order in which inputs come first. */
export function randomGraph(random: Random): ModelVertex[] {
  const vertices: ModelVertex[] = [];
  const size = 2 + random.below(14);
  const mayFail = random.chance(0.4);
  for (let number = 0; number < size; number++) {
    const arity = number === 0 ? 0 : random.below(Math.min(number, 4));
    const inputs = Array.from({ length: arity }, () => {
      const vertex = random.pick(vertices);
      return {
        vertex,
        index: random.below(vertex.contents.length),
        reading: random.pick<Reading>(['definition', 'content', 'content', 'content only']),
      };
    });
    const readings = inputs.map(({ reading }) => reading).join(' ');
    const behaviour = mayFail && random.chance(0.15) ? 'fails' : 'succeeds';
    const operation = `op ${random.below(3)} of (${readings}) ${behaviour}${inputs.length === 0 ? ` ${number}` : ''}`;
    const seen = inputs.map(({ vertex, index, reading }) =>
      reading === 'definition' ? vertex.contents[index]! : read(vertex.contents[index]!),
    );
    const key = JSON.stringify([
      operation,
      inputs.map(({ vertex, index, reading }, position) =>
        reading === 'definition' ? [vertex.key, index] : seen[position],
      ),
    ]);
    vertices.push({
      name: `v${number}`,
      operation,
      inputs,
      contents: Array.from({ length: 2 }, (_, index) => contentOf(operation, seen, index)),
      key,
      behaviour,
      mayFail: behaviour === 'fails' || inputs.some(({ vertex }) => vertex.mayFail),
      cost: random.below(20),
      stubbornness: random.chance(0.2) ? random.below(20) : 0,
    });
  }
  return vertices;
}

function contentOf(operation: string, seen: readonly string[], output: number): string {
  let sum = output;
  for (const character of operation + seen.join()) sum = (sum * 31 + character.charCodeAt(0)) % 65_521;
  return `${operation}(${seen.join()})#${output}:${sum % 3}`;
}

export interface Executions {
  /** Called when the operation of a vertex went to its end. */
  completed(vertex: ModelVertex): void;
}

/** The model as vertices for a solver. `forced`: names of those that ignore the cache. */
export function toVertices(
  rig: SolverRig,
  time: VirtualTime,
  graph: readonly ModelVertex[],
  forced: ReadonlySet<string>,
  executions: Executions,
): Map<ModelVertex, TestVertex> {
  const vertices = new Map<ModelVertex, TestVertex>();
  for (const model of graph) {
    const ignoreCache = forced.has(model.name);
    const inputs = model.inputs.map(
      ({ vertex, index }): TestEdge => ({ vertex: vertices.get(vertex)!, index }),
    );
    const vertex = rig.step(model.name, {
      inputs,
      operation: model.operation,
      ignoreCache,
      cacheMap: ({ signal }) => time.sleep(model.cost % 3, signal),
      cacheInputs: model.inputs.map(({ reading }) =>
        reading === 'definition'
          ? {}
          : {
              contentOnly: reading === 'content only',
              reads: async (content, { signal }) => {
                await time.sleep(1, signal);
                return read(content);
              },
            },
      ),
      run: async (_contents, { signal }) => {
        try {
          await time.sleep(model.cost, signal);
        } catch (error) {
          await time.sleep(model.stubbornness);
          throw error;
        }
        executions.completed(model);
        if (model.behaviour === 'fails') throw new KilnError('unknown', `${model.operation} failed`);
        return model.contents;
      },
    });
    vertices.set(model, vertex);
  }
  return vertices;
}
