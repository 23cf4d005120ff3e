import { deferred } from '../../base/async/lifetime.ts';
import type { TestContext } from './solver-rig.ts';

/** A gate that a vertex's execution waits at, until opened or cancelled. */
export function gate() {
  const reached = deferred<void>();
  const opened = deferred<void>();
  return {
    reached: reached.promise,
    open: opened.resolve,
    run: async (contents: readonly string[], context: TestContext) => {
      reached.resolve();
      const aborted = deferred<never>();
      context.signal.addEventListener('abort', () => aborted.reject(context.signal.reason));
      await Promise.race([opened.promise, aborted.promise]);
      return [`gated(${contents.join(',')})`];
    },
  };
}
