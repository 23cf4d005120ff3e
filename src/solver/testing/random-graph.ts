import type { Random } from '../../base/testing/random.ts';

/** How an input of a model vertex counts in its cache key. */
type Reading = 'definition' | 'content' | 'content only';

/** One that hangs ends when it is told to stop. */
type Behaviour = 'succeeds' | 'fails' | 'hangs';

export interface ModelInput {
  readonly vertex: ModelVertex;
  readonly index: number;
  readonly reading: Reading;
  /** The part that is used. */
  readonly selector: 'left' | 'right' | undefined;
}

interface Work {
  /** Vertices with equal operations that see the same of their inputs are equal: one execution serves all. */
  readonly operation: string;
  readonly inputs: readonly ModelInput[];
  readonly behaviour: Behaviour;
  /** Makes something else each time. */
  readonly volatile: boolean;
}

export interface ModelVertex extends Work {
  readonly name: string;
  readonly outputs: readonly number[];
  /** Whether it or anything above it is volatile. */
  readonly varies: boolean;
  /** Whether it or anything above it may fail. */
  readonly mayFail: boolean;
  readonly mayHang: boolean;
  readonly cost: number;
  /** Goes on after it was told to stop, for so many ticks. */
  readonly stubbornness: number;
}

/** A graph in an order in which inputs come first. */
export function randomGraph(random: Random): ModelVertex[] {
  const vertices: ModelVertex[] = [];
  const size = 2 + random.below(14);
  const mayFail = random.chance(0.4);
  const mayHang = random.chance(0.15);
  const mayBeVolatile = random.chance(0.3);
  const selects = random.chance(0.4);
  const randomEdge = () => {
    const vertex = random.pick(vertices);
    const selector = selects ? random.pick([undefined, 'left', 'right'] as const) : undefined;
    return { vertex, index: random.pick(vertex.outputs), selector };
  };
  const randomWork = (number: number): Work => {
    const arity = number === 0 ? 0 : random.below(Math.min(number, 4));
    const inputs = Array.from({ length: arity }, () => ({
      ...randomEdge(),
      reading: random.pick<Reading>(['definition', 'content', 'content', 'content only']),
    }));
    let behaviour: Behaviour = 'succeeds';
    if (mayFail && random.chance(0.15)) behaviour = 'fails';
    else if (mayHang && random.chance(0.15)) behaviour = 'hangs';
    const volatile = mayBeVolatile && random.chance(0.3);
    const readings = inputs.map(({ reading }) => reading).join(' ');
    const kind = `${behaviour}${volatile ? ' volatile' : ''}${inputs.length === 0 ? ` ${number}` : ''}`;
    return { operation: `op ${random.below(3)} of (${readings}) ${kind}`, inputs, behaviour, volatile };
  };
  /** The same operation over some of the same inputs. */
  const similarWork = ({ operation, inputs, behaviour, volatile }: ModelVertex): Work => ({
    operation,
    inputs: inputs.map((input) => (random.chance(0.6) ? input : { ...input, ...randomEdge() })),
    behaviour,
    volatile,
  });
  for (let number = 0; number < size; number++) {
    const work = number > 0 && random.chance(0.3) ? similarWork(random.pick(vertices)) : randomWork(number);
    vertices.push({
      ...work,
      name: `v${number}`,
      outputs: [0, 1],
      varies: work.volatile || work.inputs.some(({ vertex }) => vertex.varies),
      mayFail: work.behaviour === 'fails' || work.inputs.some(({ vertex }) => vertex.mayFail),
      mayHang: work.behaviour === 'hangs' || work.inputs.some(({ vertex }) => vertex.mayHang),
      cost: random.below(20),
      stubbornness: random.chance(0.2) ? random.below(20) : 0,
    });
  }
  return vertices;
}
