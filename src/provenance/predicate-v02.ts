import { type Json, nonEmpty } from '../base/json/json-steps.ts';
import type { PredicateParts } from './predicate-parts.ts';

const buildType = 'https://mobyproject.org/buildkit@v1';

/** SLSA's provenance, version 0.2, with BuildKit's additions. */
export function predicateV02(parts: PredicateParts): Json {
  const { uri, digest, path } = parts.configSource;
  return {
    builder: { id: parts.builderId },
    buildType,
    ...nonEmpty({ materials: parts.materials.map((material) => ({ ...material })) }),
    invocation: {
      configSource: nonEmpty({ uri, digest, entryPoint: path }),
      parameters: parts.request,
      environment: {
        ...nonEmpty({ platform: parts.platform, dockerfileVersion: parts.dockerfileVersion }),
        ...parts.custom,
      },
    },
    ...nonEmpty({ buildConfig: parts.buildConfig }),
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
      ...nonEmpty({ [`${buildType}#hermetic`]: parts.hermetic }),
    },
  };
}
