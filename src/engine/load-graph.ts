import type { Digest } from '../base/digest.ts';
import { KilnError } from '../base/errors.ts';
import { inTurns, type Steps } from '../base/in-turns.ts';
import type { ImmutableRef } from '../layer/ref.ts';
import { type OpGraph, type OpVertex, unmarshalInTurns } from '../llb/graph.ts';
import type { Definition, Op } from '../llb/op.ts';
import { vertexName } from '../llb/op-name.ts';
import type { Edge, Vertex } from '../solver/solver.ts';
import type { BuildContext } from './build-context.ts';
import { dropCacheMounts } from './cache-mount.ts';
import type { Entitlement, WorkerParts } from './engine-parts.ts';
import type { BuildExplanations } from './explain/build-explanations.ts';
import { operationOf } from './operations.ts';

export type BuildEdge = Edge<ImmutableRef, BuildContext>;

export interface LoadOptions {
  readonly parts: WorkerParts;
  /** What this build may do. */
  readonly entitlements: ReadonlySet<Entitlement>;
  /** Told what is loaded. */
  readonly explanations: Pick<BuildExplanations, 'add'>;
}

/** Turns a definition into vertices that the solver can run. Undefined for the empty tree. */
export async function loadGraph(
  definition: Definition,
  options: LoadOptions,
): Promise<BuildEdge | undefined> {
  const graph = await unmarshalInTurns(definition);
  const edge = await inTurns(load(graph, options));
  for (const { op, metadata } of graph.vertices.values()) {
    if (metadata.ignoreCache && op.action.kind === 'exec')
      await dropCacheMounts(op.action, options.parts.refStore);
  }
  return edge;
}

function* load(graph: OpGraph, options: LoadOptions): Steps<BuildEdge | undefined> {
  if (!graph.result) return undefined;
  const loaded = new Map<Digest, Vertex<ImmutableRef, BuildContext>>();
  for (const vertex of graph.vertices.values()) {
    yield;
    checkEntitlements(vertex, options.entitlements);
    const inputs = vertex.op.inputs.map(({ digest, index }) => ({ vertex: loaded.get(digest)!, index }));
    const inputOps = vertex.op.inputs.map(({ digest }) => graph.vertices.get(digest)!);
    const nameOf = (digest: Digest) => loaded.get(digest)?.name ?? digest;
    loaded.set(vertex.digest, {
      digest: vertex.digest,
      name: vertexName(vertex.op, vertex.metadata, nameOf),
      inputs,
      operation: operationOf(vertex, inputOps, options.parts),
      ignoreCache: vertex.metadata.ignoreCache,
      group: vertex.metadata.progressGroup,
    });
  }
  options.explanations.add(graph);
  return { vertex: loaded.get(graph.result.digest)!, index: graph.result.index };
}

function checkEntitlements({ op, digest }: OpVertex, allowed: ReadonlySet<Entitlement>): void {
  for (const entitlement of neededEntitlements(op)) {
    if (allowed.has(entitlement)) continue;
    throw new KilnError('permission_denied', `${entitlement} is not allowed`, {
      hint: `allow it for the daemon (--allow-insecure-entitlement ${entitlement}) and for the build (--allow ${entitlement})`,
      details: [{ kind: 'vertex', digest }],
    });
  }
}

function neededEntitlements({ action }: Op): readonly Entitlement[] {
  if (action.kind !== 'exec') return [];
  return [
    ...(action.network === 'host' ? (['network.host'] as const) : []),
    ...(action.security === 'insecure' ? (['security.insecure'] as const) : []),
    ...(action.devices.some(({ optional }) => !optional) ? (['device'] as const) : []),
  ];
}
