import type { Task } from '../../base/threads/task.ts';
import { BlockRing, type SharedBlockRing } from './block-ring.ts';

/** How long to hold on to the thread with nothing to do. Milliseconds. */
const idleTime = 10;

/** Helps the thread that owns the ring until there is nothing to do for a while. */
const compressBlocks: Task<SharedBlockRing, void> = (shared, context) => {
  const ring = new BlockRing(shared);
  try {
    do {
      while (!ring.isClosed && ring.compressNext()) context.throwIfAborted();
    } while (ring.waitForInput(idleTime));
  } finally {
    ring.changeHelperCount(-1);
  }
};

export default compressBlocks;
