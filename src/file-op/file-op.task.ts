import { toByteString } from '../base/text/byte-string.ts';
import type { Task } from '../base/threads/task.ts';
import { DirectoryTreeMaker } from '../tree/directory-tree-maker.ts';
import { applyChange } from './apply-change.ts';
import { applyToImage } from './apply-to-image.ts';
import type { PreparedAction, UnmountedLayer } from './file-op.ts';
import { LayerTarget } from './layer-target.ts';

export interface FileOpInput {
  readonly actions: readonly PreparedAction[];
  /** Given when the target is a layer's own directory rather than the whole tree. */
  readonly layer: UnmountedLayer | undefined;
}

/** Returns how many actions were applied. When one fails it tells the position of that one first. */
const applyActions: Task<FileOpInput, number, number> = async ({ actions, layer }, context) => {
  const [first] = actions;
  if (!first) return 0;
  if (layer && (await applyToImage(actions, layer, () => context.throwIfAborted()))) return actions.length;
  using tree = new DirectoryTreeMaker(toByteString(first.target));
  const target = layer && new LayerTarget(tree, layer.lowerDirs);
  let applied = 0;
  for (const action of actions) {
    context.throwIfAborted();
    try {
      const next = target?.prepare(action) ?? 'apply';
      if (next === 'mount') break;
      if (next === 'apply') await applyChange(action, tree, () => context.throwIfAborted());
    } catch (error) {
      context.emit(applied);
      throw error;
    }
    applied++;
  }
  tree.finish();
  return applied;
};

export default applyActions;
