import { removeLeftBridge } from './bridge/bridge-networks.ts';
import { removeLeftCniNetworks } from './cni/cni-networks.ts';

/** Takes back what a killed process has set up in `directory` for the networks of its steps. What cannot be taken back is told to `onProblem`. */
export async function removeLeftNetworks(
  directory: string,
  onProblem: (message: string) => void,
): Promise<void> {
  await removeLeftCniNetworks(directory, onProblem);
  try {
    await removeLeftBridge(directory);
  } catch (error) {
    onProblem(`cannot remove the bridge that a killed daemon left: ${error}`);
  }
}
