import type { ThreadPool } from '../../base/threads/thread-pool.ts';
import { dockerfileFrontend } from '../../frontend/dockerfile/frontend-name.ts';
import type { Frontend } from '../../frontend/frontend.ts';
import { createThreadedFrontend } from '../../frontend/threaded-frontend.ts';
import type { WorkerDescription } from '../api/worker-description.ts';
import type { DaemonConfig } from '../config/daemon-config.ts';
import { createGatewayFrontend } from '../frontends/gateway-frontend.ts';

const dockerfileTask = new URL('../../frontend/dockerfile/dockerfile.task.ts', import.meta.url);

export interface EngineFrontends {
  readonly byName: ReadonlyMap<string, Frontend>;
  /** Loads what the first build needs, so that it need not wait for that. */
  warm(): void;
}

export interface FrontendsOptions {
  readonly enabled: DaemonConfig['frontends'];
  readonly threads: ThreadPool;
  readonly worker: WorkerDescription;
}

/** Every frontend that the configuration enables: a new one is added to the list here. */
export function openFrontends({ enabled, threads, worker }: FrontendsOptions): EngineFrontends {
  const { dockerfile, gateway, builtInSyntax } = enabled;
  const all = [
    ...(dockerfile
      ? [createThreadedFrontend({ name: dockerfileFrontend, module: dockerfileTask, threads })]
      : []),
    ...(gateway.enabled
      ? [
          createGatewayFrontend({
            allowedRepositories: gateway.allowedRepositories,
            hasDockerfile: dockerfile,
            worker,
          }),
        ]
      : []),
  ];
  return {
    byName: new Map(all.map((frontend) => [frontend.name, withSyntax(frontend, builtInSyntax)])),
    warm: () => {
      if (dockerfile) threads.prepare(dockerfileTask);
    },
  };
}

function withSyntax(frontend: Frontend, builtInSyntax: boolean): Frontend {
  return {
    name: frontend.name,
    solve: (bridge, request, signal) => frontend.solve(bridge, { ...request, builtInSyntax }, signal),
  };
}
