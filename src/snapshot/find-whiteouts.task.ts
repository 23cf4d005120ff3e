import { bytePath } from './byte-path.ts';
import { hasWhiteouts } from './trim-whiteouts.ts';

/** For each layer directory, whether it holds a whiteout. */
export default function findWhiteoutsTask(layers: readonly string[]): boolean[] {
  return layers.map((layer) => hasWhiteouts(bytePath(layer)));
}
