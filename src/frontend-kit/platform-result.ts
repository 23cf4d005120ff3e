import { KilnError } from '../base/errors.ts';
import { writeImage } from '../frontend/dockerfile/to-llb/values/image-draft.ts';
import type { Bridge, BridgeSolve } from '../frontend/frontend.ts';
import type { PlatformResult } from '../frontend/platform-results.ts';
import { toGraph } from '../llb/llb.ts';
import { type BuildResult, CalledFrontend, ContainerImage, imageOf, stateOf } from './build-result.ts';
import type { FrontendBuild } from './frontend-build.ts';

/** What a function gave for one platform, as something that is solved. */
export async function platformResult(
  result: BuildResult,
  { platform, labels, epoch }: FrontendBuild,
  bridge: Bridge,
  cacheImports: BridgeSolve['cacheImports'],
): Promise<PlatformResult> {
  if (result instanceof CalledFrontend) {
    const { refs, metadata } = result.answer;
    if (refs.size !== 1 || !refs.has('')) {
      throw new KilnError(
        'failed_precondition',
        `frontend ${result.name} gave results for several platforms; expected one`,
        { hint: 'do not set its options platform and multi-platform' },
      );
    }
    return {
      platform,
      ref: refs.get(''),
      config: metadata.get('containerimage.config'),
      baseConfig: metadata.get('containerimage.base.config'),
      epoch,
    };
  }
  const image = imageOf(result, platform, labels, epoch);
  const graph = toGraph(stateOf(result), { platform });
  const { refs } = await bridge.solve({ graph, cacheImports });
  return {
    platform,
    ref: refs.get(''),
    config: image && writeImage(image),
    baseConfig: result instanceof ContainerImage ? result.settings.base?.config : undefined,
    epoch,
  };
}
