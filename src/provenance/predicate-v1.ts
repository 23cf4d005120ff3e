import { type JsonParts, nonEmpty } from '../base/json/json-steps.ts';
import type { PredicateParts } from './predicate-parts.ts';

const buildType = 'https://github.com/moby/buildkit/blob/master/docs/attestations/slsa-definitions.md';

/** SLSA's build provenance, version 1, with BuildKit's additions. */
export function predicateV1(parts: PredicateParts): JsonParts {
  return {
    buildDefinition: {
      buildType,
      ...nonEmpty<JsonParts>({ resolvedDependencies: parts.materials.map((material) => ({ ...material })) }),
      externalParameters: { configSource: { ...parts.configSource }, request: parts.request },
      internalParameters: {
        ...nonEmpty<JsonParts>({
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
        ...nonEmpty<JsonParts>({ buildkit_hermetic: parts.hermetic }),
        buildkit_completeness: {
          request: parts.requestComplete,
          resolvedDependencies: parts.materialsComplete,
        },
        ...nonEmpty<JsonParts>({ buildkit_reproducible: parts.reproducible }),
      },
    },
  };
}
