import type { Task } from '../base/thread-pool.ts';
import { applyChange } from './apply-change.ts';
import type { PreparedAction } from './file-op.ts';

const applyActions: Task<readonly PreparedAction[], void> = async (actions, context) => {
  for (const action of actions) {
    context.throwIfAborted();
    await applyChange(action, () => context.throwIfAborted());
  }
};

export default applyActions;
