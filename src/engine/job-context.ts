import type { OperationContext } from '../solver/solver.ts';
import type { SourceContext } from '../source/source.ts';
import type { MountImports } from './caches/mount-imports.ts';
import type { NestedGraphs } from './nested/nested-graphs.ts';
import type { StepFailures } from './result/step-failures.ts';

/** What one build brings to the vertices it needs. */
export interface JobContext {
  /** The session of the client; empty for a build without one. */
  readonly sessionId: string;
  /** What is released when the build ends. */
  readonly owned: AsyncDisposableStack;
  /** Cache mounts that it brings along. */
  readonly mountImports?: MountImports;
  /** Where its client learns what there is of steps that fail, if the client can look into trees. */
  readonly failures?: StepFailures;
  /** How it solves the graphs that its vertices come to while they run. */
  readonly nested: NestedGraphs;
}

/** The sessions of all builds that want the running vertex, each once. */
export function sessionsOf(context: OperationContext<JobContext>): readonly string[] {
  return [...new Set(context.jobs().map(({ sessionId }) => sessionId))].filter((id) => id !== '');
}

export function sourceContext(context: OperationContext<JobContext>): SourceContext {
  return {
    signal: context.signal,
    progress: context.progress,
    sessions: () => sessionsOf(context),
    retain(ref) {
      for (const { owned } of context.jobs()) {
        if (owned.disposed) continue;
        const held = ref.clone();
        owned.defer(() => held.release());
      }
    },
  };
}
