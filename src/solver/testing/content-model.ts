import { workOf } from './execution-log.ts';
import type { ModelInput, ModelVertex } from './random-graph.ts';

/** What was made of what: one for each distinct content. */
interface Origin {
  readonly content: string;
  readonly operation: string;
  readonly output: number;
  readonly seen: readonly string[];
  /** The last round in which a vertex that ignores the cache made it. */
  lastForced: number;
}

/**
 * What the outputs of model vertices are: functions of the operation and of what it sees of its inputs. A volatile
 * operation makes something else each time, so that an output may have several right contents.
 */
export class ContentModel {
  round = 0;
  /** By all that they come from. */
  readonly #origins = new Map<string, Origin>();
  readonly #byContent = new Map<string, Origin>();
  readonly #byOperation = new Map<string, Origin[]>();
  /** Inputs that definitions identify although their contents vary: any content that one had stands for every other. */
  readonly #interchangeable: ReadonlySet<string>;
  #executions = 0;

  constructor(graph: readonly ModelVertex[]) {
    const interchangeable = new Set<string>();
    for (const { operation, inputs } of graph)
      for (const [position, { vertex, reading }] of inputs.entries())
        if (reading === 'content' && vertex.varies) interchangeable.add(placeOf(operation, position));
    this.#interchangeable = interchangeable;
  }

  /** The outputs of an execution that saw `seen`. */
  make(vertex: ModelVertex, seen: readonly string[], forced: boolean): string[] {
    const time = vertex.volatile ? ++this.#executions : 0;
    return vertex.outputs.map((output) => {
      const identity = JSON.stringify([vertex.operation, output, seen, time]);
      let origin = this.#origins.get(identity);
      if (!origin) {
        const content = `content ${this.#origins.size} ${parts(identity)}`;
        origin = { content, operation: vertex.operation, output, seen, lastForced: -1 };
        this.#origins.set(identity, origin);
        this.#byContent.set(content, origin);
        const origins = this.#byOperation.get(vertex.operation) ?? [];
        origins.push(origin);
        this.#byOperation.set(vertex.operation, origins);
      }
      if (forced) origin.lastForced = this.round;
      return origin.content;
    });
  }

  /** The work that `content` came of. */
  workOf(content: string): string {
    const { operation, seen } = this.#byContent.get(content)!;
    return workOf(operation, seen);
  }

  /**
   * Whether a build in this round may get `content` for an output, when the vertices named in `forced` ignore the
   * cache: those were executed in this round, and every vertex saw what may be there of its inputs.
   */
  isRight(vertex: ModelVertex, output: number, content: string, forced: ReadonlySet<string>): boolean {
    const right = new RightContents(this.#byOperation, this.#interchangeable, this.round, forced);
    return right.of(vertex, output).includes(content);
  }
}

class RightContents {
  readonly #byOperation: ReadonlyMap<string, readonly Origin[]>;
  readonly #interchangeable: ReadonlySet<string>;
  readonly #round: number;
  readonly #forced: ReadonlySet<string>;
  readonly #known = new Map<ModelVertex, readonly Origin[]>();

  constructor(
    byOperation: ReadonlyMap<string, readonly Origin[]>,
    interchangeable: ReadonlySet<string>,
    round: number,
    forced: ReadonlySet<string>,
  ) {
    this.#byOperation = byOperation;
    this.#interchangeable = interchangeable;
    this.#round = round;
    this.#forced = forced;
  }

  of(vertex: ModelVertex, output: number): string[] {
    return this.#origins(vertex)
      .filter((origin) => origin.output === output)
      .map(({ content }) => content);
  }

  #origins(vertex: ModelVertex): readonly Origin[] {
    const known = this.#known.get(vertex);
    if (known) return known;
    const forced = this.#forced.has(vertex.name);
    const visible = vertex.inputs.map((input, position) =>
      this.#interchangeable.has(placeOf(vertex.operation, position))
        ? undefined
        : new Set(this.of(input.vertex, input.index).map((content) => see(content, input))),
    );
    const isVisible = (part: string, position: number) => visible[position]?.has(part) ?? true;
    const origins = (this.#byOperation.get(vertex.operation) ?? []).filter(
      ({ seen, lastForced }) => (!forced || lastForced === this.#round) && seen.every(isVisible),
    );
    this.#known.set(vertex, origins);
    return origins;
  }
}

function placeOf(operation: string, position: number): string {
  return `input ${position} of ${operation}`;
}

/** What an operation sees of an input: of one that counts by its content, little enough to be often equal. */
export function see(content: string, { reading, selector }: ModelInput): string {
  if (reading === 'definition') return `${selector ?? 'all'} of ${content}`;
  const end = content.slice(-2);
  switch (selector) {
    case 'left':
      return end.slice(0, 1);
    case 'right':
      return end.slice(1);
    case undefined:
      return end;
  }
}

/** Two digits, for two selectors. */
function parts(identity: string): string {
  let sum = 0;
  for (let index = 0; index < identity.length; index++)
    sum = (sum * 31 + identity.charCodeAt(index)) % 65_521;
  return `${sum % 2}${(sum >> 4) % 2}`;
}
