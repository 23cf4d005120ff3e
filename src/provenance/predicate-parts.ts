import { inTurns } from '../base/async/in-turns.ts';
import { type Json, type JsonParts, jsonMap, nonEmpty } from '../base/json/json-steps.ts';
import { formatPlatform } from '../base/platform.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import { isInternalAnnotation } from '../oci/layer-identity.ts';
import { type BuildSteps, buildSteps, digestMapping } from './build-steps.ts';
import { type Material, materialsOf } from './materials.ts';
import type { BuildFacts, ProvenanceAccount, StepLayers } from './provenance-account.ts';
import type { ProvenanceOptions } from './provenance-options.ts';
import { Redactor } from './redactor.ts';
import { describeRequest, type RequestDescription, RequestWriter } from './request-json.ts';
import { sourceMapJson } from './source-map-json.ts';

/** What both versions of the predicate say, each in its own words. */
export interface PredicateParts {
  readonly builderId: string;
  readonly invocationId: string;
  readonly startedOn: string;
  readonly finishedOn: string;
  readonly configSource: RequestDescription['configSource'];
  readonly request: Json;
  /** The builder's. */
  readonly platform: string;
  readonly dockerfileVersion: string | undefined;
  /** What the daemon's configuration adds. */
  readonly custom: BuildFacts['environment'];
  readonly materials: readonly Material[];
  readonly requestComplete: boolean;
  readonly materialsComplete: boolean;
  readonly hermetic: boolean;
  readonly reproducible: boolean;
  readonly buildConfig: JsonParts | undefined;
  /** BuildKit's own metadata. */
  readonly metadata: JsonParts;
  readonly redactor: Redactor;
}

const vcsPrefix = 'vcs:';
const builtInFrontend = 'dockerfile.v0';

/** Gathers what a predicate says. Lets the event loop turn meanwhile. */
export async function predicateParts(
  account: ProvenanceAccount,
  options: Pick<ProvenanceOptions, 'mode' | 'builderId' | 'reproducible'>,
): Promise<PredicateParts> {
  const { build, capture, request, root } = account;
  const redactor = new Redactor([request, root].filter((each) => each !== undefined));
  const min = options.mode === 'min';
  const described = request ? describeRequest(request, capture) : { configSource: {}, args: new Map() };
  const writer = new RequestWriter({ min, capture, redactor });
  const own = [...described.args].filter(([name]) => !name.startsWith(vcsPrefix));
  const vcs = [...described.args].flatMap(([name, value]): [string, string][] =>
    name.startsWith(vcsPrefix) && value !== '' ? [[name.slice(vcsPrefix.length), value]] : [],
  );
  const uses = (list: typeof capture.secrets) =>
    min ? [] : list.map(({ id, optional }) => ({ id, ...nonEmpty({ optional }) }));
  const requestJson = nonEmpty<Json>({
    frontend: request?.frontend,
    args: writer.args(new Map(own)),
    secrets: uses(capture.secrets),
    ssh: uses(capture.agents),
    locals: capture.locals.map((name) => ({ name })),
    inputs: request && writer.inputs(request.inputs),
    root: root && writer.root(root),
    compatibilityVersion: build.compatibilityVersion,
  });
  const definition = min ? undefined : await definitionParts(account, redactor);
  const platform = formatPlatform(build.platform);
  const dockerfileVersion = request?.frontend === builtInFrontend ? build.dockerfileVersion : undefined;
  const materialsComplete = capture.complete && capture.locals.length === 0;
  return {
    builderId: options.builderId,
    invocationId: build.invocationId,
    startedOn: build.startedAt.toISOString(),
    finishedOn: build.finishedAt().toISOString(),
    configSource: described.configSource,
    request: requestJson,
    platform,
    dockerfileVersion,
    custom: build.environment,
    materials: materialsOf(capture),
    requestComplete: request !== undefined && request.frontend !== '' && writer.complete,
    materialsComplete,
    hermetic: materialsComplete && !capture.networkAccess,
    reproducible: options.reproducible,
    buildConfig: definition?.buildConfig,
    metadata: nonEmpty<JsonParts>({
      vcs: jsonMap(vcs),
      source: definition?.source,
      layers: definition?.layers,
    }),
    redactor,
  };
}

interface DefinitionParts {
  readonly buildConfig: JsonParts;
  readonly source: JsonParts | undefined;
  readonly layers: Json | undefined;
}

async function definitionParts(account: ProvenanceAccount, redactor: Redactor): Promise<DefinitionParts> {
  const { graph } = account;
  const options = { data: (data: Uint8Array) => redactor.data(data) };
  const steps = await inTurns(buildSteps(graph, options));
  return {
    buildConfig: nonEmpty<JsonParts>({ llbDefinition: steps.steps, digestMapping: digestMapping(steps) }),
    source: graph.source && (await sourceMapJson(graph.source, steps, options)),
    layers: layersJson(await account.layers(), steps),
  };
}

function layersJson(all: readonly StepLayers[], { names }: BuildSteps): Json | undefined {
  return jsonMap(
    all.flatMap(({ step, layers }): [string, Json][] => {
      const name = names.get(step.digest);
      // A list of chains: other builders know the same layers in several forms.
      return name === undefined ? [] : [[`${name}:${step.index}`, [layers.map(descriptorJson)]]];
    }),
  );
}

function descriptorJson({ mediaType, digest, size, urls, annotations = {} }: Descriptor): Json {
  const published = Object.entries(annotations).filter(([key]) => !isInternalAnnotation(key));
  return nonEmpty({
    mediaType,
    digest,
    size,
    urls: urls && [...urls],
    annotations: jsonMap(published),
  });
}
