import type { VertexPort } from '../graph/node-ports.ts';
import type { RunQueue } from '../graph/run-queue.ts';

/** Shows everything above a cached vertex as cached, since nothing of it was needed. What runs or ran stays as it is. */
export function showAncestorsCached<R, C>(node: VertexPort<R, C>, queue: RunQueue): void {
  queue.walk(announcedAncestors(node), (ancestor) => ancestor.progress.cached());
}

/** Goes on above what was yielded. */
function* announcedAncestors<R, C>(node: VertexPort<R, C>): Iterable<VertexPort<R, C>> {
  const pending = [node];
  for (let current = pending.pop(); current; current = pending.pop())
    for (const { vertex } of current.inputs) {
      if (vertex.progress.kind !== 'announced') continue;
      yield vertex;
      pending.push(vertex);
    }
}
