/** A directed graph: the successors of each node. Successors that are no nodes of the graph are ignored. */
export type Graph = ReadonlyMap<string, readonly string[]>;

/** Nodes each of which leads to each other one. */
export interface Circle {
  /** All of them, sorted. */
  readonly members: readonly string[];
  /** One way around that is as short as any, in order. Its first node follows its last one. */
  readonly shortest: readonly string[];
}

/** Returns the strongly connected parts of `graph` that have more than one node, or a node that leads to itself. */
export function findCircles(graph: Graph): readonly Circle[] {
  const circles: Circle[] = [];
  const seen = new Set<string>();
  for (const node of graph.keys()) {
    if (seen.has(node)) continue;
    const reached = reachable(graph, node);
    if (!reached.has(node)) continue;
    const members = [...reached].filter((other) => reachable(graph, other).has(node)).sort();
    for (const member of members) seen.add(member);
    circles.push({ members, shortest: shortestCircle(graph, members) });
  }
  return circles;
}

/** Returns the nodes to which one step or more lead from `start`. */
function reachable(graph: Graph, start: string): ReadonlySet<string> {
  const reached = new Set<string>();
  const open = [start];
  for (let node = open.pop(); node !== undefined; node = open.pop()) {
    for (const next of graph.get(node) ?? []) {
      if (reached.has(next) || !graph.has(next)) continue;
      reached.add(next);
      open.push(next);
    }
  }
  return reached;
}

function shortestCircle(graph: Graph, members: readonly string[]): readonly string[] {
  const inside = new Set(members);
  return members
    .map((member) => wayAround(graph, member, inside))
    .reduce((least, each) => (each.length < least.length ? each : least));
}

/** Returns a shortest way from `start` back to it through `inside`, without its end. */
function wayAround(graph: Graph, start: string, inside: ReadonlySet<string>): readonly string[] {
  const cameFrom = new Map<string, string>();
  const queue = [start];
  for (const node of queue) {
    for (const next of graph.get(node) ?? []) {
      if (next === start) {
        const way = [node];
        while (way[0] !== start) way.unshift(cameFrom.get(way[0]!)!);
        return way;
      }
      if (!inside.has(next) || cameFrom.has(next)) continue;
      cameFrom.set(next, node);
      queue.push(next);
    }
  }
  throw new Error(`${start} is in no circle`);
}
