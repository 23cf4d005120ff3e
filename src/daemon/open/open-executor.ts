import path from 'node:path';
import { DeviceRegistry } from '../../executor/cdi/device-registry.ts';
import {
  createRunnablePlatforms,
  type RunnablePlatforms,
} from '../../executor/emulation/runnable-platforms.ts';
import type { Executor } from '../../executor/executor.ts';
import { createOciExecutor } from '../../executor/oci-executor.ts';
import type { DaemonConfig } from '../config/daemon-config.ts';
import type { DaemonLog } from '../daemon-log.ts';
import { openStepNetworks } from './open-step-networks.ts';

/** What runs steps, for which platforms, and the devices that steps can have. */
export interface Execution extends AsyncDisposable {
  readonly executor: Executor;
  readonly devices: DeviceRegistry;
  readonly runnable: RunnablePlatforms;
  /** The network of steps that ask for nothing else, in BuildKit's words. */
  readonly network: string;
}

/** Ends the containers that a killed process left, and the networks of their steps, and warns about CDI files that cannot be used. */
export async function openExecutor(config: DaemonConfig, root: string, log: DaemonLog): Promise<Execution> {
  const devices = new DeviceRegistry({
    directories: config.devices.enabled ? config.devices.directories : [],
    autoAllowed: config.devices.autoAllowed,
    onProblem: (message) => log.warn(message),
  });
  await devices.current();
  const directory = path.join(root, 'executor');
  await using resources = new AsyncDisposableStack();
  const runnable = resources.use(createRunnablePlatforms({ directory }));
  const sandbox = resources.use(
    await openStepNetworks(config.worker.network, path.join(root, 'networks'), log),
  );
  const executor = resources.use(
    await createOciExecutor({
      root: directory,
      runtime: config.worker.runtime,
      sandboxNetwork: sandbox.network,
      dns: config.dns,
      cgroupParent: config.worker.cgroupParent,
      devices,
      platforms: runnable,
    }),
  );
  await executor.recover();
  const owned = resources.move();
  return {
    executor,
    devices,
    runnable,
    network: sandbox.label,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}
