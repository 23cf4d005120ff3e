import { create } from '@bufbuild/protobuf';
import type { HandlerContext, ServiceImpl } from '@connectrpc/connect';
import { fromStatus } from '../../api/error.ts';
import { type LLBBridge, PongResponseSchema, ResultSchema } from '../../api/gen/gateway_pb.js';
import type { Platform as PlatformMessage } from '../../api/gen/ops_pb.js';
import { platformFromMessage } from '../../api/platform-message.ts';
import { parseDigest } from '../../base/digest.ts';
import { KilnError } from '../../base/errors.ts';
import type { Platform } from '../../base/platform.ts';
import { definitionsByName } from '../../gateway/definitions-by-name.ts';
import { resultFromMessage, resultToMessage } from '../../gateway/result-message.ts';
import { rangeFromMessage } from '../../gateway/source-range.ts';
import { statToMessage } from '../../gateway/stat-message.ts';
import {
  attestationChainToMessage,
  attestationQuestionOf,
} from '../../llb/wire/attestation-chain-message.ts';
import { decodeInTurns, encodeDefinition } from '../../llb/wire/definition-wire.ts';
import { gitMetadataToMessage } from '../../llb/wire/git-metadata-message.ts';
import { checksumQuestionOf, httpMetadataToMessage } from '../../llb/wire/http-metadata-message.ts';
import { parseResolveMode } from '../../source/image/image-source.ts';
import type { BuildRegistry } from '../builds/build-registry.ts';
import type { GatewayBuild } from '../builds/gateway-build.ts';
import { containerRequest } from '../containers/container-message.ts';
import { execStream } from '../containers/exec-stream.ts';
import { frontendCapabilities, llbCapabilities } from './advertised-capabilities.ts';
import { policyFromMessage } from './source-policy-message.ts';
import type { WorkerDescription } from './worker-description.ts';

/** The header with the id of the build that a call belongs to. */
const buildHeader = 'buildkit-controlapi-buildid';

type BuildOfCall = (context: HandlerContext) => Promise<GatewayBuild>;

/** For clients that drive builds of their own: each call says which one it is for. */
export function namedBuild(builds: BuildRegistry): BuildOfCall {
  return (context) => {
    const id = context.requestHeader.get(buildHeader);
    if (!id)
      throw new KilnError('invalid_argument', `no buildid found in context: the call lacks ${buildHeader}`);
    return builds.get(id, context.signal);
  };
}

/** `LLBBridge`: how a client that drives its build itself, or a frontend, calls the engine. */
export function gatewayService(
  buildOf: BuildOfCall,
  worker: WorkerDescription,
): Partial<ServiceImpl<typeof LLBBridge>> {
  const platformOf = ({ platform }: { readonly platform?: PlatformMessage }): Platform =>
    platform ? platformFromMessage(platform) : worker.platforms[0]!;

  return {
    async ping(_request, context) {
      await buildOf(context);
      return create(PongResponseSchema, {
        frontendCaps: frontendCapabilities,
        llbCaps: llbCapabilities,
        workers: [await worker.record('last')],
      });
    },

    async resolveImageConfig(request, context) {
      const { build } = await buildOf(context);
      const { sessionId, storeId } = request;
      const { ref, digest, config } = await build.bridge
        .withPolicies(request.sourcePolicies.map(policyFromMessage))
        .resolveImageConfig(request.ref, {
          platform: platformOf(request),
          resolveMode: parseResolveMode(request.resolveMode),
          logName: request.logName || undefined,
          ociLayout: request.resolverType === 1 ? { sessionId, storeId } : undefined,
        });
      return { ref, digest, config };
    },

    async resolveSourceMeta(request, context) {
      const { build } = await buildOf(context);
      if (!request.source) throw new KilnError('invalid_argument', 'no source to resolve');
      const { identifier, attrs } = request.source;
      const { source, image, http, git } = await build.bridge
        .withPolicies(request.sourcePolicies.map(policyFromMessage))
        .resolveSource(
          { identifier, attrs },
          {
            platform: platformOf(request),
            resolveMode: parseResolveMode(request.resolveMode || attrs['image.resolvemode']),
            logName: request.logName || undefined,
            checksum: checksumQuestionOf(request.http),
            gitObjects: request.git?.returnObject ?? false,
            attestations: attestationQuestionOf(request.image),
          },
        );
      return {
        source: { identifier: source.identifier, attrs: { ...source.attrs } },
        image: image && {
          digest: image.digest,
          config: request.image?.noConfig ? new Uint8Array() : image.config,
          attestationChain: image.attestations && attestationChainToMessage(image.attestations),
        },
        http: http && httpMetadataToMessage(http),
        git: git && gitMetadataToMessage(git),
      };
    },

    async solve(request, context) {
      const { build, refs } = await buildOf(context);
      const bridge = build.bridge
        .withSignal(context.signal)
        .withPolicies(request.sourcePolicies.map(policyFromMessage));
      const definition = request.definition && (await decodeInTurns(request.definition));
      const inputs = await definitionsByName(request.frontendInputs);
      const result = await explained(build, () =>
        bridge.solveForClient({
          definition,
          frontend: request.frontend || undefined,
          options: request.frontendOptions,
          inputs,
          cacheImports: request.cacheImports,
          evaluate: request.evaluate,
        }),
      );
      const single = result.refs.get('');
      if (!request.allowResultReturn) return { oldRef: single ? refs.add(single) : '' };
      return { result: await resultToMessage(result, (ref) => refs.add(ref)) };
    },

    async evaluate({ ref }, context) {
      const { build, refs } = await buildOf(context);
      await explained(build, () => refs.get(ref).evaluate(context.signal));
      return {};
    },

    async readFile({ ref, path, range }, context) {
      const { build, refs } = await buildOf(context);
      const part = range && { offset: Number(range.offset), length: Number(range.length) };
      return { data: await explained(build, () => refs.get(ref).readFile(path, part, context.signal)) };
    },

    async readDir({ ref, path, includePattern }, context) {
      const { build, refs } = await buildOf(context);
      const entries = await explained(build, () =>
        refs.get(ref).readDir(path, includePattern || undefined, context.signal),
      );
      return { entries: entries.map(statToMessage) };
    },

    async statFile({ ref, path }, context) {
      const { build, refs } = await buildOf(context);
      return {
        stat: statToMessage(await explained(build, () => refs.get(ref).statFile(path, context.signal))),
      };
    },

    async newContainer(request, context) {
      const { build, refs, containers } = await buildOf(context);
      await containers.add(request.containerId, () =>
        build.bridge.openContainer(
          containerRequest(request, (id) => build.bridge.failedTree(id) ?? refs.get(id)),
          build.signal,
          context.signal,
        ),
      );
      return {};
    },

    async *execProcess(requests, context) {
      const { build, containers } = await buildOf(context);
      using _call = containers.call();
      yield* execStream(requests, containers, AbortSignal.any([context.signal, build.signal]));
    },

    async releaseContainer({ containerId }, context) {
      const { containers } = await buildOf(context);
      await containers.take(containerId).release();
      return {};
    },

    async readFileContainer({ ref, path, range, mountIndex }, context) {
      const { containers } = await buildOf(context);
      const part = range && { offset: Number(range.offset), length: Number(range.length) };
      const read = () => containers.get(ref).readFile(mountIndex, path, part);
      return { data: await containers.reading(context.signal, read) };
    },

    async readDirContainer({ ref, path, includePattern, mountIndex }, context) {
      const { containers } = await buildOf(context);
      const read = () => containers.get(ref).readDir(mountIndex, path, includePattern || undefined);
      const entries = await containers.reading(context.signal, read);
      return { entries: entries.map(statToMessage) };
    },

    async statFileContainer({ ref, path, mountIndex }, context) {
      const { containers } = await buildOf(context);
      const read = () => containers.get(ref).statFile(mountIndex, path);
      return { stat: statToMessage(await containers.reading(context.signal, read)) };
    },

    async return({ result, error }, context) {
      const { build, refs } = await buildOf(context);
      if (error && error.code !== 0) build.fail(fromStatus(error));
      else build.return(resultFromMessage(result ?? create(ResultSchema), (id) => refs.get(id)));
      return {};
    },

    async inputs(_request, context) {
      const { inputs } = await buildOf(context);
      return {
        definitions: Object.fromEntries([...inputs].map(([name, input]) => [name, encodeDefinition(input)])),
      };
    },

    async warn(request, context) {
      const { build } = await buildOf(context);
      const text = (bytes: Uint8Array) => Buffer.from(bytes).toString('utf8');
      build.bridge.warn(parseDigest(request.digest), {
        level: Number(request.level),
        short: text(request.short),
        detail: request.detail.map(text),
        url: request.url || undefined,
        source: request.info,
        ranges: request.ranges.map(rangeFromMessage),
      });
      return {};
    },
  };
}

/** Work whose failure tells what there is of the step that failed. */
async function explained<T>({ bridge }: GatewayBuild['build'], work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw bridge.explained(error);
  }
}
