import { type Json, nonEmpty } from '../base/json/json-steps.ts';
import type { PredicateParts } from './predicate-parts.ts';

const buildType = 'https://github.com/moby/buildkit/blob/master/docs/attestations/slsa-definitions.md';

/** SLSA's build provenance, version 1, with BuildKit's additions. */
export function predicateV1(parts: PredicateParts): Json {
  return {
    buildDefinition: {
      buildType,
      ...nonEmpty({ resolvedDependencies: parts.materials.map((material) => ({ ...material })) }),
      externalParameters: { configSource: { ...parts.configSource }, request: parts.request },
      internalParameters: {
        ...nonEmpty({
          buildConfig: parts.buildConfig,
          builderPlatform: parts.platform,
          dockerfileVersion: parts.dockerfileVersion,
        }),
        ...parts.custom,
      },
    },
    runDetails: {
      builder: { id: parts.builderId },
      metadata: {
        invocationId: parts.invocationId,
        startedOn: parts.startedOn,
        finishedOn: parts.finishedOn,
        buildkit_metadata: parts.metadata,
        ...nonEmpty({ buildkit_hermetic: parts.hermetic }),
        buildkit_completeness: {
          request: parts.requestComplete,
          resolvedDependencies: parts.materialsComplete,
        },
        ...nonEmpty({ buildkit_reproducible: parts.reproducible }),
      },
    },
  };
}
