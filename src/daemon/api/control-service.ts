import { create } from '@bufbuild/protobuf';
import { timestampFromDate } from '@bufbuild/protobuf/wkt';
import type { HandlerContext, ServiceImpl } from '@connectrpc/connect';
import {
  type Control,
  type SolveRequest,
  type UsageRecord as UsageMessage,
  UsageRecordSchema,
} from '../../api/gen/control_pb.js';
import { KilnError } from '../../base/errors.ts';
import { type Platform, parsePlatforms } from '../../base/platform.ts';
import type { BuildRequest, BuildWork, Engine } from '../../engine/engine.ts';
import { provenanceRequest } from '../../engine/provenance/provenance-request.ts';
import { scanRequest } from '../../engine/result/scanned-result.ts';
import type { DeviceSource } from '../../executor/cdi/device-registry.ts';
import { definitionsByName } from '../../gateway/definitions-by-name.ts';
import type { Definition } from '../../llb/op.ts';
import { decodeInTurns } from '../../llb/wire/definition-wire.ts';
import type { DiskUsage, UsageRecord } from '../../ref/disk-usage.ts';
import { BuildProgress } from '../builds/build-progress.ts';
import type { ActiveBuild, BuildRegistry } from '../builds/build-registry.ts';
import { GatewayRefs } from '../builds/gateway-refs.ts';
import { GatewayContainers } from '../containers/gateway-containers.ts';
import type { DaemonLog } from '../daemon-log.ts';
import type { BuildHistory } from '../history/build-history.ts';
import { cacheRequests } from './cache-options.ts';
import { compatibilityVersionOf } from './compatibility-version.ts';
import { policyFromMessage } from './source-policy-message.ts';
import type { WorkerDescription } from './worker-description.ts';

export interface ControlServices {
  readonly engine: Engine;
  readonly builds: BuildRegistry;
  readonly history: BuildHistory;
  readonly diskUsage: DiskUsage;
  readonly worker: WorkerDescription;
  readonly devices: DeviceSource;
  readonly log: DaemonLog;
  /** Called when a build has started. */
  readonly onBuildStart: () => void;
  /** Called when a build has ended. */
  readonly onBuildEnd: () => void;
}

/** Of Kiln's own clients: `kiln_failed_steps.proto` says what it is for. */
const keepHeader = 'x-kiln-keep-failed-steps';
const nanosecondsPerMillisecond = 1_000_000n;

/** The daemon's API, except for `Session`, which is served as raw messages. */
export function controlService(services: ControlServices): Partial<ServiceImpl<typeof Control>> {
  const { engine, builds, history, diskUsage, worker, devices } = services;
  const start = async (
    request: SolveRequest,
    { signal, requestHeader }: HandlerContext,
  ): Promise<ActiveBuild> => {
    const progress = new BuildProgress();
    try {
      const inputs = await definitionsByName(request.frontendInputs);
      const work = await workOf(request, inputs);
      builds.check(request.ref);
      const refs = new GatewayRefs();
      const failedSteps = requestHeader.has(keepHeader) ? 'asked' : request.internal ? 'not' : 'usual';
      const build = engine.start(
        { ...buildRequest(request, work, inputs, refs), failedSteps },
        progress,
        signal,
      );
      return builds.add(build, { progress, inputs, refs, containers: new GatewayContainers() });
    } catch (error) {
      progress.end();
      builds.notStarted(request.ref, progress);
      throw error;
    }
  };

  return {
    async solve(request, context) {
      const active = await start(request, context);
      const { build, progress } = active;
      services.onBuildStart();
      const record = request.internal ? undefined : history.start(request);
      try {
        const outcome = await build.outcome;
        progress.end();
        record?.complete(progress, outcome);
        return { exporterResponse: outcome.exporterResponse };
      } catch (error) {
        progress.end();
        record?.fail(progress, error);
        services.log.debug(`build ${request.ref} failed: ${(error as Error).stack}`);
        throw error;
      } finally {
        builds.remove(active);
        services.onBuildEnd();
      }
    },

    async *status({ ref }, context: HandlerContext) {
      const progress = await builds.progress(ref, context.signal, (id) => history.has(id));
      yield* progress ? progress.stream(context.signal) : history.progress(ref);
    },

    async diskUsage({ filters }) {
      return { records: (await diskUsage.list(filters)).map(usageToMessage) };
    },

    async *prune(request, context) {
      // Records of builds have copies of what is removed here.
      await history.settled();
      const removed = diskUsage.prune({
        filters: request.filters,
        all: request.all,
        keepDuration: Number(request.keepDuration / nanosecondsPerMillisecond),
        reservedSpace: Number(request.reservedSpace),
        maxUsedSpace: Number(request.maxUsedSpace),
        minFreeSpace: Number(request.minFreeSpace),
        signal: context.signal,
      });
      for await (const record of removed) yield usageToMessage(record);
    },

    async listWorkers() {
      return { records: [await worker.record('current', (await devices.current()).devices)] };
    },

    async info() {
      return { version: worker.version };
    },

    async *listenBuildHistory(request, context) {
      yield* history.listen(request, context.signal);
    },

    async updateBuildHistory(request) {
      await history.update(request);
      return {};
    },
  };
}

function buildRequest(
  request: SolveRequest,
  work: BuildWork,
  inputs: ReadonlyMap<string, Definition>,
  refs: GatewayRefs,
): Omit<BuildRequest, 'failedSteps'> {
  const { 'build-arg:SOURCE_DATE_EPOCH': epoch, platform } = request.frontendAttrs;
  const exporters = [...request.exporters];
  if (exporters.length === 0 && request.oldExporter !== '') {
    exporters.push({
      $typeName: 'moby.buildkit.v1.Exporter',
      type: request.oldExporter,
      attrs: request.oldExporterAttrs,
    });
  }
  return {
    id: request.ref,
    sessionId: request.session,
    work,
    asked: { frontend: request.frontend, options: request.frontendAttrs, inputs },
    compatibilityVersion: compatibilityVersionOf(request.compatibilityVersion),
    provenance: provenanceRequest(request.frontendAttrs),
    exporters: exporters.map(({ type, attrs }) => ({ type, attrs: withEpoch(attrs, epoch) })),
    ...cacheRequests(request.cache),
    platforms: requestedPlatforms(platform),
    scan: scanRequest(request.frontendAttrs),
    entitlements: request.entitlements,
    sourcePolicy: request.sourcePolicy && policyFromMessage(request.sourcePolicy),
    policySession: request.sourcePolicySession || undefined,
    showResult: request.enableSessionExporter ? (ref) => refs.add(ref) : undefined,
  };
}

/** Undefined when no platform is named, or an invalid one: it is the frontend that reports what is wrong with it. */
function requestedPlatforms(text: string | undefined): readonly Platform[] | undefined {
  if (!text) return undefined;
  try {
    return parsePlatforms(text);
  } catch {
    return undefined;
  }
}

/** Gives the build's SOURCE_DATE_EPOCH, if it is a number, to an output that has none of its own. */
function withEpoch(
  attrs: Readonly<Record<string, string>>,
  epoch: string | undefined,
): Readonly<Record<string, string>> {
  return epoch === undefined || !/^([+-]?\d+)?$/.test(epoch)
    ? attrs
    : { 'source-date-epoch': epoch, ...attrs };
}

/** A request with neither frontend nor definition leaves the work to its client. */
async function workOf(request: SolveRequest, inputs: ReadonlyMap<string, Definition>): Promise<BuildWork> {
  if (request.frontend === '' && request.definition === undefined) return { kind: 'client' };
  if (request.frontend !== '' && request.definition !== undefined && request.definition.length > 0) {
    throw new KilnError(
      'invalid_argument',
      'a solve request names a frontend and has a definition: send one of them',
    );
  }
  return {
    kind: 'solve',
    request: {
      definition: request.frontend === '' ? await decodeInTurns(request.definition!) : undefined,
      frontend: request.frontend || undefined,
      options: request.frontendAttrs,
      inputs,
    },
  };
}

function usageToMessage(record: UsageRecord): UsageMessage {
  return create(UsageRecordSchema, {
    id: record.id,
    mutable: record.mutable,
    inUse: record.inUse,
    size: BigInt(record.size),
    parent: record.parents[0] ?? '',
    parents: [...record.parents],
    createdAt: timestampFromDate(record.createdAt),
    lastUsedAt: record.lastUsedAt && timestampFromDate(record.lastUsedAt),
    usageCount: BigInt(record.usageCount),
    description: record.description,
    recordType: record.type,
    shared: record.shared,
  });
}
