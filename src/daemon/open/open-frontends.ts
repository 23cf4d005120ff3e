import type { ThreadPool } from '../../base/threads/thread-pool.ts';
import { dockerfileFrontend } from '../../frontend/dockerfile/frontend-name.ts';
import type { Frontend } from '../../frontend/frontend.ts';
import { createThreadedFrontend } from '../../frontend/threaded-frontend.ts';
import type { DaemonConfig } from '../config/daemon-config.ts';

const dockerfileTask = new URL('../../frontend/dockerfile/dockerfile.task.ts', import.meta.url);

export interface EngineFrontends {
  readonly byName: ReadonlyMap<string, Frontend>;
  /** Loads what the first build needs, so that it need not wait for that. */
  warm(): void;
}

/** Every frontend that the configuration enables: a new one is added to the list here. */
export function openFrontends(enabled: DaemonConfig['frontends'], threads: ThreadPool): EngineFrontends {
  const all = enabled.dockerfile
    ? [createThreadedFrontend({ name: dockerfileFrontend, module: dockerfileTask, threads })]
    : [];
  return {
    byName: new Map(all.map((frontend) => [frontend.name, frontend])),
    warm: () => {
      if (enabled.dockerfile) threads.prepare(dockerfileTask);
    },
  };
}
