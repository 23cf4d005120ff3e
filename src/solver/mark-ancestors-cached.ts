import type { VertexNode } from './vertex-node.ts';

/** Shows everything above a cached vertex as cached, since nothing of it was needed. What runs or ran stays as it is. */
export function markAncestorsCached<R, C>(node: VertexNode<R, C>): void {
  const pending = [node];
  for (let current = pending.pop(); current; current = pending.pop()) {
    for (const { vertex } of current.inputs) {
      if (vertex.progress.kind !== 'announced') continue;
      vertex.progress.cached();
      pending.push(vertex);
    }
  }
}
