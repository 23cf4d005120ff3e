import { mapLimit } from '../base/async/lifetime.ts';
import { hostPlatform } from '../base/platform.ts';
import { ImageResolver } from '../frontend/dockerfile/to-llb/plan/image-resolver.ts';
import { parseRequestOptions } from '../frontend/dockerfile/to-llb/plan/request-options.ts';
import type { Frontend } from '../frontend/frontend.ts';
import { collectPlatforms } from '../frontend/platform-results.ts';
import { unsupportedCapability } from '../frontend/unsupported-capability.ts';
import { answerQuestion } from './answer-question.ts';
import { checkResult } from './build-result.ts';
import { FrontendBuild } from './frontend-build.ts';
import type { FrontendDefinition, FrontendFunction } from './frontend-definition.ts';
import { platformResult } from './platform-result.ts';

/** A frontend for an engine in this process, or for a program at the end of the gateway. */
export function createFrontend(frontend: FrontendFunction | FrontendDefinition): Frontend {
  const definition: FrontendDefinition = typeof frontend === 'function' ? { build: frontend } : frontend;
  return {
    name: definition.name ?? 'kiln.frontend',
    async solve(bridge, request, signal) {
      const { filename, file } = definition;
      const options = parseRequestOptions({ ...(filename && { filename }), ...request.options });
      const { missingCapability, subrequest, multiPlatform } = options;
      if (missingCapability) throw unsupportedCapability(missingCapability.id);
      const images = new ImageResolver(bridge);
      const buildPlatform = bridge.workers[0]?.platforms[0] ?? hostPlatform();
      const platforms = options.platforms.length > 0 ? options.platforms : [buildPlatform];
      const shared = { bridge, request, options, images, buildPlatform, file, signal };
      const builds = platforms.map((platform) => new FrontendBuild({ ...shared, platform }));
      if (subrequest !== undefined) return await answerQuestion(subrequest, definition, builds[0]!);
      const results = await mapLimit(
        builds,
        builds.length,
        async (build) => {
          const result = checkResult(await definition.build(build), 'the frontend');
          return await platformResult(result, build, bridge, options.cacheImports);
        },
        signal,
      );
      return collectPlatforms(results, multiPlatform);
    },
  };
}
