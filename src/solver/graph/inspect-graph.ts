import type { EdgeNode } from '../edge/edge-node.ts';
import type { VertexInspection } from '../solver.ts';
import type { VertexNode } from '../vertex/vertex-node.ts';
import { level, levelNames } from './level.ts';

/** Every vertex that somebody waits for, with what it waits for itself. */
export function inspectGraph<R, C>(nodes: Iterable<VertexNode<R, C>>): VertexInspection[] {
  const inspections: VertexInspection[] = [];
  for (const node of nodes) {
    const edges = node.edges.filter((edge) => edge.wanted);
    if (edges.length === 0) continue;
    const waitsFor = new Set(node.describeCalls());
    for (const edge of edges) for (const awaited of awaitedBy(edge)) waitsFor.add(awaited);
    inspections.push({
      digest: node.definition.digest,
      name: node.definition.name,
      jobs: [...node.jobs].map((job) => job.id),
      state: edges.map((edge) => `output ${edge.index}: ${stateText(edge)}`).join(', '),
      waitsFor: [...waitsFor],
    });
  }
  return inspections;
}

function stateText<R, C>(edge: EdgeNode<R, C>): string {
  const { state } = edge;
  switch (state.kind) {
    case 'matching':
      return `matching by ${state.phase}`;
    case 'following':
      return `following ${state.following.leader.vertex.definition.name}`;
    case 'unmapped':
    case 'gathering':
    case 'claimed':
    case 'executing':
    case 'done':
    case 'failed':
      return state.kind;
  }
}

function awaitedBy<R, C>(edge: EdgeNode<R, C>): string[] {
  const awaited: string[] = [];
  if (edge.call) awaited.push(edge.call.purpose);
  if (edge.state.kind === 'following')
    awaited.push(`the result of ${edge.state.following.leader.vertex.definition.name}`);
  for (const { asked, source } of edge.inputs)
    if (asked !== level.none) awaited.push(`${levelNames[asked]} of ${source.vertex.definition.name}`);
  return awaited;
}
