import { digestOf } from '../../base/digest.ts';
import type { Vertex } from '../solver.ts';
import { VertexNode } from '../vertex/vertex-node.ts';
import type { AttachedJob } from './attached-job.ts';
import type { Environment } from './environment.ts';

/** A job on its way into the graph. */
export interface Attachment<R, C> {
  readonly job: AttachedJob<R, C>;
  /** The nodes that the job has already; it gets the new ones. */
  readonly nodes: Map<Vertex<R, C>, VertexNode<R, C>>;
  /** Called before each step; stops it all by throwing. */
  readonly check: () => void;
}

/** The vertices that the running jobs need, equal ones once. */
export class SharedGraph<R, C> {
  readonly environment: Environment<R, C>;
  /** Every live node by its graph key. */
  readonly #nodes = new Map<string, VertexNode<R, C>>();

  constructor(environment: Environment<R, C>) {
    this.environment = environment;
  }

  get nodes(): readonly VertexNode<R, C>[] {
    return [...this.#nodes.values()];
  }

  /**
   * Returns the node of `vertex`, with the nodes of everything above it, all attached to the job: inputs before their consumers,
   * which is the order of announcements.
   */
  async attach(vertex: Vertex<R, C>, attachment: Attachment<R, C>): Promise<VertexNode<R, C>> {
    const { nodes, check } = attachment;
    await this.environment.queue.walk(inputsFirst(vertex, nodes), (next) => {
      check();
      if (!nodes.has(next)) nodes.set(next, this.#attachOne(next, attachment));
    });
    return nodes.get(vertex)!;
  }

  #attachOne(definition: Vertex<R, C>, { job, nodes }: Attachment<R, C>): VertexNode<R, C> {
    const inputs = definition.inputs.map((input) => ({ node: nodes.get(input.vertex)!, index: input.index }));
    const key = graphKey(
      definition,
      inputs.map(({ node }) => node),
    );
    let node = this.#nodes.get(key);
    if (!node) {
      node = new VertexNode({
        graphKey: key,
        definition,
        inputs: inputs.map((input) => input.node.edge(input.index)),
        environment: this.environment,
        onLeave: () => this.#nodes.delete(key),
      });
      this.#nodes.set(key, node);
    }
    node.attach(job, definition.name);
    return node;
  }
}

/** `vertex` and all above it, without what is in `known` when its turn comes. */
function* inputsFirst<R, C>(
  vertex: Vertex<R, C>,
  known: ReadonlyMap<Vertex<R, C>, unknown>,
): Iterable<Vertex<R, C>> {
  const trail: { readonly vertex: Vertex<R, C>; next: number }[] = [{ vertex, next: 0 }];
  for (let top = trail.at(-1); top; top = trail.at(-1)) {
    const input = top.vertex.inputs[top.next++];
    if (!input) {
      trail.pop();
      yield top.vertex;
    } else if (!known.has(input.vertex)) trail.push({ vertex: input.vertex, next: 0 });
  }
}

/**
 * Vertices are the same when their digests are, unless the cache is ignored for one of them or for anything above
 * it: a job that wants things done again must not get what a running job found. Nor does a job of another scope.
 */
function graphKey<R, C>(vertex: Vertex<R, C>, inputs: readonly VertexNode<R, C>[]): string {
  const { digest, ignoreCache, scope = '' } = vertex;
  const isShared = !ignoreCache && scope === '';
  const plain = isShared && inputs.every((input) => input.graphKey === input.definition.digest);
  if (plain) return digest;
  const parts = [ignoreCache ? 'forced' : 'downstream', digest, scope];
  for (const input of inputs) parts.push(input.graphKey);
  return `${digest} ${digestOf(parts.join('\n'))}`;
}
