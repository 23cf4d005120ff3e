import { access } from 'node:fs/promises';
import { parseGoBool } from '../../base/text/go-bool.ts';
import { leftNetworks } from '../../network/left-networks.ts';
import type { StepNetworks } from '../../network/step-networks.ts';
import type { NetworkConfig, NetworkMode } from '../config/daemon-config.ts';
import type { DaemonLog } from '../daemon-log.ts';

export interface SandboxNetwork extends AsyncDisposable {
  /** What steps get that ask for nothing else. */
  readonly network: 'host' | 'none' | StepNetworks;
  /** What the worker says of it to clients, in BuildKit's words. */
  readonly label: 'host' | 'none' | 'cni';
}

/**
 * Sets up the network of steps, and takes back what a killed process left of such networks in `directory`. What most daemons do not need is loaded only when it is wanted.
 */
export async function openStepNetworks(
  config: NetworkConfig,
  directory: string,
  log: DaemonLog,
): Promise<SandboxNetwork> {
  const onProblem = (message: string) => log.warn(message);
  if (await leftNetworks(directory)) {
    const { removeLeftNetworks } = await import('../../network/remove-left-networks.ts');
    await removeLeftNetworks(directory, onProblem);
  }
  const mode = await chosenMode(config);
  switch (mode) {
    case 'host':
    case 'none':
      return { network: mode, label: mode, [Symbol.asyncDispose]: async () => {} };
    case 'bridge': {
      const { BridgeNetworks } = await import('../../network/bridge/bridge-networks.ts');
      const { poolSize, bridge } = config;
      const networks = await BridgeNetworks.open({ ...bridge, directory, poolSize, onProblem });
      return asSandbox(networks);
    }
    case 'cni': {
      const { CniNetworks } = await import('../../network/cni/cni-networks.ts');
      const { poolSize, cni } = config;
      return asSandbox(await CniNetworks.open({ ...cni, directory, poolSize, onProblem }));
    }
  }
}

/** A variable can ask for the bridge, as in BuildKit. */
async function chosenMode({ mode, cni }: NetworkConfig): Promise<Exclude<NetworkMode, 'auto'>> {
  if (mode !== 'auto') return mode;
  if (parseGoBool(process.env.BUILDKIT_NETWORK_BRIDGE_AUTO ?? '')) return 'bridge';
  return (await exists(cni.configFile)) ? 'cni' : 'host';
}

function asSandbox(networks: StepNetworks): SandboxNetwork {
  return {
    network: networks,
    label: 'cni',
    [Symbol.asyncDispose]: () => networks[Symbol.asyncDispose](),
  };
}

async function exists(file: string): Promise<boolean> {
  return access(file).then(
    () => true,
    () => false,
  );
}
