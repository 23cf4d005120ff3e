import { inTurns, type Steps } from '../base/async/in-turns.ts';
import type { Digest } from '../base/digest.ts';
import { asKilnError } from '../base/errors.ts';
import { checkOp } from '../llb/check-op.ts';
import type { OpGraph, OpVertex } from '../llb/graph.ts';
import type { Op } from '../llb/op.ts';
import { vertexName } from '../llb/op-name.ts';
import type { ImmutableRef } from '../ref/ref.ts';
import type { Edge, Vertex } from '../solver/solver.ts';
import { grantedDevices } from './entitlements/device-grants.ts';
import { type Entitlement, type Entitlements, requireEntitlement } from './entitlements/entitlements.ts';
import type { BuildExplanations } from './explain/build-explanations.ts';
import type { JobContext } from './job-context.ts';
import type { Nesting } from './nested/nested-graphs.ts';
import { dropCacheMounts } from './operations/cache-mount.ts';
import { operationOf } from './operations/operation-of.ts';
import type { OperationServices } from './operations/operation-services.ts';

export type BuildEdge = Edge<ImmutableRef, JobContext>;

export interface LoadOptions {
  readonly services: OperationServices;
  /** What this build may do. */
  readonly entitlements: Entitlements;
  /** Gets every graph that is loaded. */
  readonly explanations: Pick<BuildExplanations, 'add'>;
  readonly nesting: Nesting;
}

/**
 * Turns a graph into vertices that the solver can run. Undefined for the empty tree. Throws, naming the vertex, `invalid_argument` for
 * an op that cannot be carried out, and `permission_denied` for one that needs what the build is not allowed.
 */
export async function loadGraph(graph: OpGraph, options: LoadOptions): Promise<BuildEdge | undefined> {
  const granted = await withDevices(graph, options);
  const edge = await inTurns(load(granted, options));
  for (const { op, metadata } of granted.vertices.values()) {
    if (metadata.ignoreCache && op.action.kind === 'exec')
      await dropCacheMounts(op.action, options.services.cacheDirectories);
  }
  return edge;
}

function* load(graph: OpGraph, options: LoadOptions): Steps<BuildEdge | undefined> {
  if (!graph.result) return undefined;
  const loaded = new Map<Digest, Vertex<ImmutableRef, JobContext>>();
  for (const vertex of graph.vertices.values()) {
    yield;
    checkOp(vertex.digest, vertex.op);
    checkEntitlements(vertex, options.entitlements.allowed);
    const inputs = vertex.op.inputs.map(({ digest, index }) => ({ vertex: loaded.get(digest)!, index }));
    const inputOps = vertex.op.inputs.map(({ digest }) => graph.vertices.get(digest)!);
    const nameOf = (digest: Digest) => loaded.get(digest)?.name ?? digest;
    loaded.set(vertex.digest, {
      digest: vertex.digest,
      name: vertexName(vertex.op, vertex.metadata, nameOf),
      inputs,
      operation: operationOf(vertex, inputOps, options.services, options.nesting),
      ignoreCache: vertex.metadata.ignoreCache,
      group: vertex.metadata.progressGroup,
      scope: vertex.op.action.kind === 'build' ? options.nesting.rights : undefined,
    });
  }
  options.explanations.add(graph);
  return { vertex: loaded.get(graph.result.digest)!, index: graph.result.index };
}

/** The graph with the devices that each step is granted in the place of those that it asks for. */
async function withDevices(graph: OpGraph, { services, entitlements }: LoadOptions): Promise<OpGraph> {
  const asking = [...graph.vertices.values()].some(
    ({ op: { action } }) => action.kind === 'exec' && action.devices.length > 0,
  );
  if (!asking) return graph;
  const list = await services.devices.current();
  const admit = (vertex: OpVertex): OpVertex => {
    const { op, digest } = vertex;
    if (op.action.kind !== 'exec' || op.action.devices.length === 0) return vertex;
    try {
      const devices = grantedDevices(op.action.devices, entitlements.devices, list);
      return { ...vertex, op: { ...op, action: { ...op.action, devices } } };
    } catch (error) {
      throw asKilnError(error).withDetail({ kind: 'vertex', digest });
    }
  };
  return {
    ...graph,
    vertices: new Map([...graph.vertices].map(([digest, vertex]) => [digest, admit(vertex)])),
  };
}

function checkEntitlements({ op, digest }: OpVertex, allowed: ReadonlySet<Entitlement>): void {
  for (const needed of neededEntitlements(op))
    requireEntitlement(needed, allowed, [{ kind: 'vertex', digest }]);
}

function neededEntitlements({ action }: Op): readonly Entitlement[] {
  if (action.kind !== 'exec') return [];
  return [
    ...(action.network === 'host' ? (['network.host'] as const) : []),
    ...(action.security === 'insecure' ? (['security.insecure'] as const) : []),
  ];
}
