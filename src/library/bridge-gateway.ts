import { hostPlatform } from '../base/platform.ts';
import type { Bridge, FrontendResult } from '../frontend/frontend.ts';
import { definitionsOf, graphOf } from './definition-of.ts';
import type { FoundImage, Gateway, ImageOptions, Source } from './gateway.ts';

/** A gateway by what frontends have of a daemon. */
export function bridgeGateway(bridge: Bridge): Gateway {
  return {
    workers: bridge.workers,
    async solve(source: Source, { evaluate } = {}): Promise<FrontendResult> {
      if (!('frontend' in source)) return await bridge.solve({ graph: graphOf(source), evaluate });
      const { frontend, options, inputs } = source;
      return await bridge.solve({ frontend, options, inputs: definitionsOf(inputs), evaluate });
    },
    async findImage(name: string, options: ImageOptions = {}): Promise<FoundImage> {
      const [worker] = bridge.workers;
      const { platform = worker?.platforms[0] ?? hostPlatform(), resolveMode = 'default' } = options;
      const { ref, digest, config } = await bridge.resolveImageConfig(name, { platform, resolveMode });
      return { name: ref, digest, config };
    },
  };
}
