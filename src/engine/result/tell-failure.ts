import type { OpVertex } from '../../llb/graph.ts';
import type { OperationContext } from '../../solver/solver.ts';
import type { JobContext } from '../job-context.ts';
import type { FailedTrees, Trees } from './step-failures.ts';

/**
 * Tells the builds that want to know of a failed step. `collect` returns the trees that are kept of it, and those of them that it made, which are
 * given back, and removed once nobody wants them. That `collect` fails must not hide why the step failed.
 */
export async function tellFailure(
  vertex: OpVertex,
  context: OperationContext<JobContext>,
  collect: () => Promise<{ readonly kept: FailedTrees; readonly made: Trees }>,
): Promise<void> {
  if (context.signal.aborted) return;
  const listeners = context.jobs().flatMap(({ failures }) => (failures ? [failures] : []));
  if (listeners.length === 0) return;
  const collected = await collect().catch(() => undefined);
  if (!collected) return;
  const { kept, made } = collected;
  const ids = made.flatMap((tree) => (tree ? [tree.id] : []));
  using _ = listeners[0]!.want(ids);
  for (const failures of listeners) failures.add(vertex, kept, ids);
  for (const tree of made) await tree?.release();
}
