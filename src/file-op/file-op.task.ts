import type { Task } from '../base/threads/task.ts';
import { applyChange } from './apply-change.ts';
import type { PreparedAction, UnmountedLayer } from './file-op.ts';
import { LayerTarget } from './layer-target.ts';

export interface FileOpInput {
  readonly actions: readonly PreparedAction[];
  /** Given when the target is a layer's own directory rather than the whole tree. */
  readonly layer: UnmountedLayer | undefined;
}

/** Answers how many actions were applied. */
const applyActions: Task<FileOpInput, number> = async ({ actions, layer }, context) => {
  const target = layer && new LayerTarget(layer.dir, layer.lowerDirs);
  for (const [index, action] of actions.entries()) {
    context.throwIfAborted();
    const next = target?.prepare(action) ?? 'apply';
    if (next === 'mount') return index;
    if (next === 'apply') await applyChange(action, () => context.throwIfAborted());
  }
  return actions.length;
};

export default applyActions;
