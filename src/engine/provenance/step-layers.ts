import { setImmediate } from 'node:timers/promises';
import type { Steps } from '../../base/async/in-turns.ts';
import { TimeSlice } from '../../base/async/time-slice.ts';
import type { Digest } from '../../base/digest.ts';
import type { Descriptor } from '../../oci/descriptor.ts';
import type { StepLayers } from '../../provenance/provenance-account.ts';
import type { RefId } from '../../ref/ref.ts';
import type { OutputKeys } from '../../solver/solver.ts';
import type { EdgeRef } from '../result/edge-ref.ts';
import type { LayerFinder } from './provenance-services.ts';

/** How many layers one predicate lists: each step of a chain has the layers of all steps below it. */
const maxLayers = 20_000;

/**
 * Notes the keys of all steps of a tree while its build runs, one in each step. What this returns finds the layers that steps have under these keys, also
 * when the build has ended; nothing is looked up before. Steps whose layers are too many are left out.
 */
export function* stepLayers(tree: EdgeRef, finder: LayerFinder): Steps<() => Promise<readonly StepLayers[]>> {
  const seen = new Set<Digest>();
  const steps: { readonly digest: Digest; readonly outputs: readonly OutputKeys[] }[] = [];
  for (const { digest, outputs } of tree.operations((each) => seen.size === seen.add(each).size)) {
    if (outputs.some(({ keys }) => keys.length > 0)) steps.push({ digest, outputs });
    yield;
  }
  return async () => {
    const found: StepLayers[] = [];
    const slice = new TimeSlice();
    let left = maxLayers;
    // From the sources on: what all others stand on.
    for (const { digest, outputs } of steps.toReversed()) {
      for (const { index, keys } of outputs) {
        const layers = await layersOf(keys, finder);
        if (layers.length === 0 || layers.length > left) continue;
        left -= layers.length;
        found.push({ step: { digest, index }, layers });
      }
      if (!slice.over) continue;
      await setImmediate();
      slice.begin();
    }
    return found;
  };
}

/** None when a layer has no blob, or no result is there. */
async function layersOf(
  keys: OutputKeys['keys'],
  { keyStore, refStore }: LayerFinder,
): Promise<readonly Descriptor[]> {
  if (keys.length === 0) return [];
  for (const { id } of await keyStore.results(keys)) {
    if (refStore.has(id as RefId)) return refStore.layerBlobs(id as RefId) ?? [];
  }
  return [];
}
