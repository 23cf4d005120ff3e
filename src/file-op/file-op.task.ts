import type { Task } from '../base/thread-pool.ts';
import { applyChange } from './apply-change.ts';
import type { PreparedAction, UnmountedLayer } from './file-op.ts';
import { LayerTarget } from './layer-target.ts';
import { LinkGuard } from './link-guard.ts';

export interface FileOpInput {
  readonly actions: readonly PreparedAction[];
  /** Given when the target is a layer's own directory rather than the whole tree. */
  readonly layer: UnmountedLayer | undefined;
}

/** Answers how many actions were applied. */
const applyActions: Task<FileOpInput, number> = async ({ actions, layer }, context) => {
  const target = layer && new LayerTarget(layer.dir, layer.lowerDirs);
  const links = layer?.linking && new LinkGuard(layer.dir, layer.linking.sharingDirs, copiesOnce(actions));
  for (const [index, action] of actions.entries()) {
    context.throwIfAborted();
    const next = target?.prepare(action) ?? 'apply';
    if (next === 'mount') return index;
    if (next === 'apply') await applyChange(action, links, () => context.throwIfAborted());
  }
  return actions.length;
};

export default applyActions;

function copiesOnce(actions: readonly PreparedAction[]): boolean {
  const copies = actions.flatMap(({ change }) => (change.kind === 'copy' ? [change] : []));
  return copies.length <= 1 && !copies.some(({ allowWildcard }) => allowWildcard);
}
