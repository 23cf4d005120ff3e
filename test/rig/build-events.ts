/** A vertex as its last event tells it. */
export interface VertexEvent {
  readonly digest: string;
  readonly name: string;
  readonly started?: string;
  readonly completed?: string;
  readonly cached?: boolean;
  readonly error?: string;
}

/** A progress item below a vertex, by its last event. */
export interface StatusEvent {
  readonly id: string;
  readonly vertex: string;
  readonly current: number;
  readonly total?: number;
  readonly completed?: string;
}

/** What happened in a build, in the words of `--progress rawjson`. */
export class BuildEvents {
  readonly vertices: readonly VertexEvent[];
  readonly statuses: readonly StatusEvent[];
  /** Vertex digest to all that the vertex printed. */
  readonly #logs: ReadonlyMap<string, string>;
  readonly #explanations: ReadonlyMap<string, string>;

  constructor(
    vertices: readonly VertexEvent[],
    statuses: readonly StatusEvent[],
    logs: ReadonlyMap<string, string>,
    explanations: ReadonlyMap<string, string>,
  ) {
    this.vertices = vertices;
    this.statuses = statuses;
    this.#logs = logs;
    this.#explanations = explanations;
  }

  /** The vertex whose name contains `text`; throws with all names when there is not exactly one. */
  vertex(text: string): VertexEvent {
    const found = this.vertices.filter(({ name }) => name.includes(text));
    if (found.length === 1) return found[0]!;
    const names = this.vertices.map(({ name }) => `  ${name}`).join('\n');
    throw new Error(`${found.length} vertices have ${JSON.stringify(text)} in their names:\n${names}`);
  }

  has(text: string): boolean {
    return this.vertices.some(({ name }) => name.includes(text));
  }

  /** What the vertex printed. */
  log(text: string): string {
    return this.#logs.get(this.vertex(text).digest) ?? '';
  }

  /** Why the vertex of a digest was not cached, if that was told. */
  explanation(digest: string): string | undefined {
    return this.#explanations.get(digest);
  }

  /** Names of the Dockerfile's steps (`[stage 2/4] …`) that ran, or that were cached. */
  steps(which: 'ran' | 'cached'): readonly string[] {
    return this.vertices
      .filter(({ name }) => /^\[[^\]]*\d+\/\d+\] (?!FROM)/.test(name))
      .filter(({ cached }) => (cached === true) === (which === 'cached'))
      .map(({ name }) => name);
  }
}

interface EventLine {
  readonly vertexes?: readonly VertexEvent[];
  readonly statuses?: readonly StatusEvent[];
  readonly logs?: readonly { readonly vertex: string; readonly data: string }[];
  readonly explanations?: readonly { readonly vertex: string; readonly text: string }[];
}

/** Reads the JSON lines of `--progress rawjson` or `--trace`. */
export function readBuildEvents(text: string): BuildEvents {
  const vertices = new Map<string, VertexEvent>();
  const statuses = new Map<string, StatusEvent>();
  const logs = new Map<string, string>();
  const explanations = new Map<string, string>();
  for (const line of text.split('\n').filter(Boolean)) {
    const event = JSON.parse(line) as EventLine;
    for (const vertex of event.vertexes ?? []) vertices.set(vertex.digest, vertex);
    for (const status of event.statuses ?? []) statuses.set(`${status.vertex} ${status.id}`, status);
    for (const { vertex, text } of event.explanations ?? []) explanations.set(vertex, text);
    for (const { vertex, data } of event.logs ?? []) {
      logs.set(vertex, (logs.get(vertex) ?? '') + Buffer.from(data, 'base64').toString('utf8'));
    }
  }
  return new BuildEvents([...vertices.values()], [...statuses.values()], logs, explanations);
}
