import { adaptLayer, needsAdapting } from './adapt-layer.ts';
import { bytePath } from './byte-path.ts';
import { treeBelow } from './merged-directory.ts';

/** See `MovedLayer`. The lists are topmost first. */
export interface AdaptLayerInput {
  readonly layer: string;
  readonly madeOn: readonly string[];
  readonly lowers: readonly string[];
  readonly target: string;
}

/** Answers whether an adapted copy was needed, and so made. */
export default function adaptLayerTask({ layer, madeOn, lowers, target }: AdaptLayerInput): boolean {
  const moved = {
    layer: bytePath(layer),
    madeOn: treeBelow(madeOn.map(bytePath)),
    lowers: treeBelow(lowers.map(bytePath)),
  };
  if (!needsAdapting(moved)) return false;
  adaptLayer(moved, bytePath(target));
  return true;
}
