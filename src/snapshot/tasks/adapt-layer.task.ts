import { toByteString } from '../../base/text/byte-string.ts';
import { treeBelow } from '../../tree/merged-directory.ts';
import { adaptLayer, needsAdapting } from './adapt-layer.ts';

/** See `MovedLayer`. The lists are topmost first. */
export interface AdaptLayerInput {
  readonly layer: string;
  readonly madeOn: readonly string[];
  readonly lowers: readonly string[];
  readonly target: string;
}

/** Makes an adapted copy of a layer where one is needed. Returns whether it did. */
export default function adaptLayerTask({ layer, madeOn, lowers, target }: AdaptLayerInput): boolean {
  const moved = {
    layer: toByteString(layer),
    madeOn: treeBelow(madeOn.map(toByteString)),
    lowers: treeBelow(lowers.map(toByteString)),
  };
  if (!needsAdapting(moved)) return false;
  adaptLayer(moved, toByteString(target));
  return true;
}
