import { type JsonParts, nonEmpty } from '../base/json/json-steps.ts';
import type { PredicateParts } from './predicate-parts.ts';

const buildType = 'https://mobyproject.org/buildkit@v1';

/** SLSA's provenance, version 0.2, with BuildKit's additions. */
export function predicateV02(parts: PredicateParts): JsonParts {
  const { uri, digest, path } = parts.configSource;
  return {
    builder: { id: parts.builderId },
    buildType,
    ...nonEmpty<JsonParts>({ materials: parts.materials.map((material) => ({ ...material })) }),
    invocation: {
      configSource: nonEmpty<JsonParts>({ uri, digest, entryPoint: path }),
      parameters: parts.request,
      environment: {
        ...nonEmpty<JsonParts>({ platform: parts.platform, dockerfileVersion: parts.dockerfileVersion }),
        ...parts.custom,
      },
    },
    ...nonEmpty<JsonParts>({ buildConfig: parts.buildConfig }),
    metadata: {
      buildInvocationID: parts.invocationId,
      buildStartedOn: parts.startedOn,
      buildFinishedOn: parts.finishedOn,
      completeness: {
        parameters: parts.requestComplete,
        environment: true,
        materials: parts.materialsComplete,
      },
      reproducible: parts.reproducible,
      [`${buildType}#metadata`]: parts.metadata,
      ...nonEmpty<JsonParts>({ [`${buildType}#hermetic`]: parts.hermetic }),
    },
  };
}
