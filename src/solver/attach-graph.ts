import { digestOf } from '../base/digest.ts';
import type { Environment, Member } from './environment.ts';
import type { Vertex } from './solver.ts';
import { VertexNode } from './vertex-node.ts';

/**
 * The node of `vertex` in the shared graph, with the nodes of everything above it, all attached to `job`: inputs
 * before their consumers, which is the order of announcements. `known`: what earlier calls for this job returned.
 */
export function attachGraph<R, C>(
  environment: Environment<R, C>,
  job: Member<R, C>,
  vertex: Vertex<R, C>,
  known: Map<Vertex<R, C>, VertexNode<R, C>>,
): VertexNode<R, C> {
  const trail: { readonly vertex: Vertex<R, C>; next: number }[] = [{ vertex, next: 0 }];
  for (let top = trail.at(-1); top; top = trail.at(-1)) {
    const input = top.vertex.inputs[top.next];
    if (input) {
      top.next++;
      if (!known.has(input.vertex)) trail.push({ vertex: input.vertex, next: 0 });
      continue;
    }
    trail.pop();
    if (!known.has(top.vertex)) known.set(top.vertex, attachOne(environment, job, top.vertex, known));
  }
  return known.get(vertex)!;
}

function attachOne<R, C>(
  environment: Environment<R, C>,
  job: Member<R, C>,
  vertex: Vertex<R, C>,
  known: ReadonlyMap<Vertex<R, C>, VertexNode<R, C>>,
): VertexNode<R, C> {
  const inputs = vertex.inputs.map((input) => ({ node: known.get(input.vertex)!, index: input.index }));
  const key = graphKey(
    vertex,
    inputs.map(({ node }) => node),
  );
  let node = environment.nodes.get(key);
  if (!node) {
    node = new VertexNode(
      key,
      vertex,
      inputs.map((input) => input.node.edge(input.index)),
      environment,
    );
    environment.nodes.set(key, node);
  }
  node.attach(job, vertex.name);
  return node;
}

/**
 * Vertices are the same when their digests are, unless the cache is ignored for one of them or for anything above
 * it: a job that wants things done again must not get what a running job found.
 */
function graphKey<R, C>(vertex: Vertex<R, C>, inputs: readonly VertexNode<R, C>[]): string {
  const plain = !vertex.ignoreCache && inputs.every((input) => input.graphKey === input.vertex.digest);
  if (plain) return vertex.digest;
  const parts = [vertex.ignoreCache ? 'forced' : 'downstream', vertex.digest];
  for (const input of inputs) parts.push(input.graphKey);
  return `${vertex.digest} ${digestOf(parts.join('\n'))}`;
}
